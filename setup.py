"""What setup.cfg cannot say: a wheel holds a copy of conf/, which an editable installation reads where it lies."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConf(build_py):
    def run(self) -> None:
        if self.editable_mode:
            super().run()
            return
        shutil.rmtree(self.build_lib, ignore_errors=True)  # or files of an earlier build come along that are no more
        super().run()
        shutil.copytree("conf", Path(self.build_lib, "chatterbox_es", "conf"))


setup(cmdclass={"build_py": BuildWithConf})
