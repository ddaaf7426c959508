# %% [markdown]
# # Training an encoder
#
# **What you will make.** An encoder of your own. First everything that a training at full size on an A100 needs: the
# data, each loss with its weight and its reason, the command, what it will cost, and how it survives being stopped.
# Then the same code trains a small encoder here, and you watch it learn, stop, and go on.
#
# **How long it takes.** About 3 minutes on two processor cores. The training at full size takes days on a GPU; that
# part is a command and a calculation here, because this notebook was written and tested without one.
#
# The generator stays as it is, frozen. What learns is the encoder: it sees a photo and the present estimate, and
# answers with a correction of the code $w$. The generator draws the corrected head, and the loss asks how far that
# drawing is from the photo. No one has to know the right code: the generator turns it back into something that can be
# compared.

# %%
import dataclasses
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image
from skimage import data

import threedpsp
from threedpsp.widgets import show_row

plt.rcParams |= {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
generator = threedpsp.load_generator("tiny", device="cpu")

# %% [markdown]
# ## 1. What it learns from
#
# **Photos.** FFHQ (70,000 faces, NVIDIA; CC BY-NC-SA 4.0, each photo under its own Flickr licence) for learning, and
# CelebA-HQ (30,000; research only) for measuring, as the published work did. One command turns any folder or zip of
# photos into what training reads. It aligns, finds the camera, and estimates where a mirror image may be believed:
#
# ```
# threedpsp prepare ffhq/ -o ffhq512/ --conf-map
# ```
#
# If you have EG3D's own version of FFHQ (a folder with `dataset.json`), it is read as it is.
#
# **Faces that the generator renders itself.** Endless, nobody's, and with cameras that are exactly known. Most people
# have no FFHQ; this needs nothing. The price: the generator's faces are easier than real ones.

# %%
rng = np.random.default_rng(0)
pictures, titles = [], []
for seed in range(6):
    yaw, pitch = rng.normal(0, 15), rng.normal(0, 6)
    head = threedpsp.random_head(generator, seed, truncation=0.7)
    camera = generator.config.camera_sphere.at(yaw, pitch)
    pictures.append(threedpsp.render_views(generator, [head], camera).image)
    titles.append(f"{yaw:+.0f}°, {pitch:+.0f}°")
show_row(pictures, titles, height=1.4)

# %% [markdown]
# Above each face its camera's yaw and pitch. In training a face's number and the seed decide all of it, so that a
# resumed training needs no record of what it has seen.
#
# ## 2. What is minimised
#
# | term | weight | compares | why |
# |---|---|---|---|
# | pixels, L2 | 1 | colours, pixel by pixel | holds everything in its place; alone it blurs |
# | LPIPS | 0.5 | features of a network that knows pictures | textures and edges that L2 smears |
# | identity | 0.4 | embeddings of a face recogniser | we forgive a wrong ear sooner than a wrong person |
# | the same three, mirrored | 1 | its render from the mirrored camera with the flipped photo | the side nobody saw |
#
# The last row is 3D-pSp's own. A face is nearly symmetric, so the flipped photo says what the head looks like from
# the other side; but only nearly (a parting, a scar, light from the left). So each pixel's error there is divided by
# $1 + \sigma$, where $\sigma$ is the uncertainty of the flip from the preprocessing. Here are the first three terms at
# work on a photo, after each of five ReStyle steps of the encoder that comes with the package:

# %%
pipeline = threedpsp.load("tiny", device="cpu")
crop = threedpsp.estimate_confidence(threedpsp.prepare(data.astronaut()))
head = pipeline.invert(crop, steps=5, likeness="none")
weights = {"L2": 1.0, "ST-LPIPS": 0.5, "identity": 0.4}
shares = []
for _, picture in head.steps:
    found = threedpsp.compare(crop, picture).means
    squared = 4 * 10 ** (-found["psnr"] / 10)  # PSNR is the squared error, on a scale from -1 to 1, in decibels
    shares.append([squared, weights["ST-LPIPS"] * found["lpips"], weights["identity"] * found["identity"]])

# %% [markdown]
# ST-LPIPS and dlib's network stand in for LPIPS and ArcFace, whose files are not part of the package. A training does
# the same, and says so in its first line.

# %%
figure, axis = plt.subplots(figsize=(6.0, 2.4), layout="constrained")
left = np.zeros(len(shares))
for name, values in zip(weights, np.transpose(shares), strict=True):
    axis.barh(np.arange(1, len(shares) + 1), values, left=left, label=name)
    left += values
axis.set(xlabel="share of the loss (weight x term)", ylabel="ReStyle step")
axis.invert_yaxis()
axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
plt.show()

# %% [markdown]
# And the mirror term: what the mirrored camera sees of the estimate is compared with the flipped photo, each pixel as
# much as it can be trusted (white: fully).

# %%
other_side = threedpsp.render_views(pipeline, [head], crop.camera.mirrored()).image
trust = 1 / (1 + crop.mirror_sigma[0].numpy())
show_row([crop.image, threedpsp.own_views(pipeline, [head]), crop.image.flip(3), trust, other_side],
         ["photo", "estimate", "flipped photo", "trust in it", "estimate from the\nmirrored camera"], height=1.5)

# %% [markdown]
# Identity weighs most, because a distance between two faces never gets near zero. The steps hardly change the sum any
# more after the second: this encoder was trained to arrive early.
#
# **ReStyle.** Each photo goes through the encoder several times, five at full size; each time the encoder also sees
# what it has made so far. The gradients of all passes are added up, and the optimizer moves once.
#
# ## 3. At full size, on an A100
#
# ```
# pip install -e ".[train]"
# threedpsp train a100_ffhq512 --photos ffhq512/ --validation celeba512/ -o runs/3dpsp
# ```
#
# The preset, as opposed to the small one that we run below:

# %%
full, tiny = threedpsp.TrainConfig.a100_ffhq512(), threedpsp.TrainConfig.tiny_cpu()
shown = ("generator", "size", "steps", "batch", "n_iters", "learning_rate", "eps", "beta2", "precision",
         "checkpointing", "render_side", "save_every", "validate_every")
print(f"{'':16}{'a100_ffhq512':>24}{'tiny_cpu':>14}")
for name in shown:
    print(f"{name:16}{vars(full)[name]!s:>24}{vars(tiny)[name]!s:>14}")

# %% [markdown]
# **What will it cost?** That is steps × seconds a step × price. The published training has 500,000 steps. The
# seconds a step we do not know: nobody has run this code on an A100 yet. Find yours out with `--steps 20` (the
# progress line says images a second, and the time that is left), and read the rest off this chart. The price is an
# assumption too; change it.

# %%
dollars_an_hour = 2.0
steps = np.linspace(0, full.steps, 100)
figure, axis = plt.subplots(figsize=(5.5, 2.8), layout="constrained")
for seconds in (0.25, 0.5, 1.0, 2.0):
    days = steps * seconds / 86400
    axis.plot(steps / 1000, days, label=f"{seconds:g} s a step: {days[-1] * 24 * dollars_an_hour:,.0f} $ for all")
axis.set(xlabel="optimizer steps, thousands", ylabel="days", title="a calculation, not a measurement")
axis.legend(frameon=False)
plt.show()

# %% [markdown]
# Encoders are good long before the end: validation says when it stops paying. `--patience 10` stops after ten
# validations without a better one, and `--max-seconds 86400` after a day.
#
# **Curves to expect.** First nothing: the encoder answers with the mean face. Then a fall that is over soon, and a
# long, nearly flat, noisy rest, in which the likeness is made. The nine trainings of
# [our benchmark](../docs/benchmark.md) show it for three methods and three seeds each.
#
# **It stops; what now?** Run the same command again. A checkpoint is a folder that appears whole or not at all, with
# the weights, the optimizer, the random state and the place in the data; so what follows is what would have followed.
#
# **Several GPUs.** The batch counts over all of them, so the same command learns the same:
#
# ```
# accelerate launch --multi_gpu --num_processes 4 -m threedpsp train a100_ffhq512 --photos ffhq512/ --batch 16
# ```
#
# or, with a file that `accelerate config` writes and that you keep (`accelerate launch --config_file four.yaml ...`):
#
# ```yaml
# compute_environment: LOCAL_MACHINE
# distributed_type: MULTI_GPU
# num_machines: 1
# num_processes: 4
# mixed_precision: "no"     # --precision decides it
# ```
#
# Slurm and several machines are in [docs/training.md](../docs/training.md). None of the commands in this section has
# been run by our tests, which have no GPU; below, the same functions run on the processor.
#
# ## 4. Now here
#
# The same `train`, smaller: 30 steps of two rendered faces, two ReStyle passes, few rays. The trunk starts from the
# embedded encoder's, as the published one starts from ArcFace's; the heads, which write the code, are new.

# %%
run = Path("output/own-encoder")
small = dataclasses.replace(
    tiny, output=run, trunk="tiny", device="cpu", batch=2, n_iters=2, render_side=32, loss_side=64,
    steps=30, warmup_steps=10, decay=False, truncation=0.7, latent_avg_samples=1000, save_every=15, validate_every=30,
    validation_rendered=4, panels_every=15, log_every=10,
)  # fmt: skip
result = threedpsp.train(small, print)
print(f"{result.reason}; best validation loss {result.best:.3f} at step {result.best_step}")

# %% [markdown]
# Everything about it lies in one folder: the settings, a row per step, pictures, and checkpoints that hold nothing
# but numbers.

# %%
for path in sorted(run.rglob("*")):
    if path.is_file():
        print(f"{path.relative_to(run).as_posix():50} {path.stat().st_size / 1e6:6.2f} MB")

# %% [markdown]
# ## 5. Going on
#
# More steps is one of the few settings that may change when a training is resumed; others would make it another
# training, and are refused by name.

# %%
result = threedpsp.train(dataclasses.replace(small, steps=45), print)
try:
    threedpsp.train(dataclasses.replace(small, steps=45, learning_rate=1.0), print)
except threedpsp.InputError as error:
    print(error)

# %%
rows = np.genfromtxt(run / "steps.csv", delimiter=",", names=True)
figure, axes = plt.subplots(1, 3, figsize=(8.5, 2.4), layout="constrained")
for axis, name in zip(axes, ("pixel", "perceptual", "identity"), strict=True):
    values = rows[name]
    axis.plot(np.arange(1, len(values) + 1), values, color="C0", alpha=0.25)
    means = np.convolve(values, np.full(15, 1 / 15), "valid")
    axis.plot(np.arange(15, len(values) + 1), means, color="C0", linewidth=2)
    axis.axvline(30, color="0.5", linestyle=":")
    axis.set(title=name, xlabel="step")
axes[0].text(0.64, 0.97, "stopped,\nresumed", ha="right", va="top", transform=axes[0].transAxes)
plt.show()

# %% [markdown]
# Pale: each step; bold: the mean of the last 15. That is 90 faces, far too few; yet looks and identity begin
# to fall. Pixels do not: the mean face is a good answer to *them*, and whoever leaves it pays first. What has it
# learned? Photo by photo (left), after each pass, and from the mirrored camera:

# %%
panels = [Image.open(run / "panels" / f"step_{step:08d}.png") for step in (15, 45)]
figure, axes = plt.subplots(1, 2, figsize=(8.5, 4.2), layout="constrained")
for axis, panel, step in zip(axes, panels, (15, 45), strict=True):
    axis.imshow(panel)
    axis.set_title(f"step {step}")
    axis.axis("off")
plt.show()

# %% [markdown]
# ## 6. Use it
#
# A trained encoder is a file like any other, and knows which generator it belongs to. Next to it the embedded one,
# which learned together with its generator for about three hours:

# %%
pictures, titles = [crop.image], ["photo"]
for encoder, title in ((str(result.encoder), "yours,\n45 steps"), (None, "embedded,\nhours")):
    pipeline = threedpsp.load("tiny", encoder=encoder, device="cpu")
    with torch.no_grad():
        pictures.append(threedpsp.own_views(pipeline.generator, [pipeline.invert(crop, steps=2, likeness="none")]))
    titles.append(title)
show_row(pictures, titles, height=1.8)

# %% [markdown]
# Yours is still close to the generator's mean face: what the first minutes of any such training look like, at 512
# pixels as well. The rest is time.

# %% [markdown]
# ## Exercises
#
# 1. Set `mirror_weight=0.0` and train again into another folder. Compare `perceptual` after 45 steps, and the last
#    column of the panels. What is it that the mirror term buys at the photo's own view, and what elsewhere?
# 2. `method="psp"` trains pSp: one pass, no mirror view. How many of its steps fit into the time of one of ours?
#    Compare at equal seconds, not at equal steps, and decide which comparison is the fair one.
# 3. `truncation=1.0` renders everything that the generator knows. Does training get harder, and does the astronaut
#    get better?
# 4. Take 20 photos of your own, run `threedpsp prepare` on them, and mix them in: `photos=...`,
#    `rendered_share=0.5`, `missing_sigma="certain"`.
# 5. Kill the kernel in the middle of the first training and run it again. Is the curve the same as without the
#    accident? (On the processor with one thread, it is, to the last bit.)
