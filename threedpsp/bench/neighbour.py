"""Multiplies matrices until it is stopped, with as many threads as its argument says."""

import sys

import torch

if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]))
    matrix = torch.randn(2048, 2048)
    while True:
        matrix @ matrix
