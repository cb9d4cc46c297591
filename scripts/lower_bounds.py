"""The oldest versions that setup.cfg allows, as constraints for pip: what `make test-lowest` tests with.

    python scripts/lower_bounds.py [EXTRA …] > lowest.txt
    pip install -c lowest.txt -e '.[EXTRA,…]'
"""

import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setuptools.config.setupcfg import read_configuration

SETUP = Path(__file__).resolve().parent.parent / "setup.cfg"


def main() -> int:
    options = read_configuration(SETUP)["options"]
    extras = {canonicalize_name(extra): lines for extra, lines in options["extras_require"].items()}
    if unknown := set(sys.argv[1:]) - extras.keys():
        print(f"error: setup.cfg has no extra {', '.join(sorted(unknown))}; it has {', '.join(extras)}", file=sys.stderr)
        return 2
    asked, lowest = [*options["install_requires"], *(line for extra in sys.argv[1:] for line in extras[extra])], {}
    for line in asked:  # which grows
        requirement = Requirement(line)
        if requirement.name == "chatterbox-es":
            asked.extend(wanted for extra in sorted(requirement.extras) for wanted in extras[extra])
            continue
        (bound,) = (part.version for part in requirement.specifier if part.operator in (">=", "=="))
        lowest[requirement.name] = bound
    print("\n".join(f"{name}=={version}" for name, version in sorted(lowest.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
