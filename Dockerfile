# docker build -t chatterbox-es .                       for a CPU
# docker build -t chatterbox-es --build-arg BASE=nvidia/cuda:12.8.1-base-ubuntu24.04 \
#     --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .
# docker run --rm -v "$PWD:/work" --user "$(id -u):$(id -g)" chatterbox-es synthesize text="Hola."
#
# BASE is any Ubuntu 24.04; torch's own wheels bring the CUDA libraries. EXTRAS are those of setup.cfg: demo,onnx …
ARG BASE=ubuntu:24.04

FROM ${BASE} AS python
RUN apt-get update && apt-get install -y --no-install-recommends python3 && rm -rf /var/lib/apt/lists/*

FROM python AS installation
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=
# pyworld comes as source.
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv python3-dev g++
RUN python3 -m venv /opt/chatterbox_es
ENV PATH=/opt/chatterbox_es/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
COPY setup.cfg setup.py pyproject.toml MANIFEST.in README.md LICENSE NOTICE ./
COPY chatterbox_es chatterbox_es
COPY conf conf
RUN pip install --extra-index-url "$TORCH_INDEX" ".${EXTRAS:+[$EXTRAS]}"

FROM python
COPY --from=installation /opt/chatterbox_es /opt/chatterbox_es
# The home is one that any --user can write: libraries keep compiled code there.
ENV PATH=/opt/chatterbox_es/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1
RUN install -d -o 1000 -g 1000 /work
WORKDIR /work
USER 1000:1000
ENTRYPOINT ["chatterbox-es"]
CMD ["--help"]
