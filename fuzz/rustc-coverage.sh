#!/bin/sh
# Compiles the workspace's own crates with libFuzzer's coverage counters, on stable Rust.
# For use as RUSTC_WORKSPACE_WRAPPER: dependencies stay as in every other build and are shared with it.
exec "$@" \
    -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
