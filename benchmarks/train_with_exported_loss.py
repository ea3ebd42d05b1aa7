"""Does an exported loss train a network where nothing but torch is installed? This trains a small denoiser with one.

python train_with_exported_loss.py loss.pt2
"""

import json
import sys

import torch
from torch.nn import functional as F

files = {"vdp_distill.json": ""}
loss = torch.export.load(sys.argv[1], extra_files=files).module()
record = json.loads(files["vdp_distill.json"])
size = [side if isinstance(side, int) else side["from"] for side in (record["height"], record["width"])]
channels = record["channels"]
pixels_per_degree = torch.tensor([30.0])

torch.manual_seed(0)
network = torch.nn.Conv2d(channels, channels, 5, padding=2)
optimizer = torch.optim.Adam(network.parameters(), 0.01)
for step in range(60):
    clean = F.interpolate(torch.rand(4, channels, 4, 4), size, mode="bilinear")
    visibility = loss(network(clean + 0.1 * torch.randn(clean.shape)), clean, pixels_per_degree).mean()
    optimizer.zero_grad()
    visibility.backward()
    optimizer.step()
    if step % 10 == 9:
        print(f"step {step + 1}: loss {visibility.item():.3f}")
