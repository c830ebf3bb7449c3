# MIS-Ground in a container. Written and linted (hadolint) without a Docker daemon at hand: not yet built.
#
#   docker build --tag mis-ground .                                     on the CPU
#   docker build --tag mis-ground:cuda --target cuda .                  with CUDA (run it with --gpus all)
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/data" mis-ground build --source phantom:2 --out mis-ground
#
# The package index has builds of torch for CUDA only. For a CPU image that is 4 GB smaller, name PyTorch's index of CPU
# builds: --build-arg EXTRA_INDEX=ADDRESS.

ARG CPU_BASE=python:3.11-slim-bookworm
ARG CUDA_BASE=nvidia/cuda:12.6.3-base-ubuntu24.04

FROM ${CPU_BASE} AS wheel
WORKDIR /source
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt build hatchling
COPY . .
RUN python -m build --wheel --no-isolation --outdir /dist

# With CUDA: the base image tells the container runtime which driver it needs; the libraries come with torch's wheel.
FROM ${CUDA_BASE} AS cuda
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY constraints.txt /opt/constraints.txt
COPY --from=wheel /dist /dist
RUN python3 -m venv /opt/mis-ground \
    && /opt/mis-ground/bin/pip install --no-cache-dir --constraint /opt/constraints.txt \
        "$(echo /dist/*.whl)[api,demo,dicom,formats,remote,vlm]"
# No name, folder or cache of root's: any user may run it (--user), and what it keeps is in the mounted folder.
ENV PATH=/opt/mis-ground/bin:$PATH HOME=/data HF_HOME=/data/.cache/huggingface OMP_WAIT_POLICY=PASSIVE
RUN mkdir --mode 777 /data
WORKDIR /data
USER 1000:1000
ENTRYPOINT ["mis-ground"]
CMD ["--help"]

FROM ${CPU_BASE} AS cpu
ARG EXTRA_INDEX=""
COPY constraints.txt /opt/constraints.txt
COPY --from=wheel /dist /dist
RUN python -m venv /opt/mis-ground \
    && PIP_EXTRA_INDEX_URL="${EXTRA_INDEX}" /opt/mis-ground/bin/pip install --no-cache-dir \
        --constraint /opt/constraints.txt "$(echo /dist/*.whl)[api,demo,dicom,formats,remote,vlm]"
ENV PATH=/opt/mis-ground/bin:$PATH HOME=/data HF_HOME=/data/.cache/huggingface OMP_WAIT_POLICY=PASSIVE
RUN mkdir --mode 777 /data
WORKDIR /data
USER 1000:1000
ENTRYPOINT ["mis-ground"]
CMD ["--help"]
