# %% [markdown]
# # How good is it?
#
# **What you will make.** A table that compares two ways to turn photos into heads, with intervals that say what can be
# concluded from it; and, on the way, every measure in it by hand, so that you know what each one sees and what it is
# blind to.
#
# **How long it takes.** About 2 minutes on two processor cores.
#
# There is no number for "a good head". There are numbers for narrower questions: the same colours? the same person?
# still the same person from the side? one solid thing? All can be fooled, each in its own way.

# %%
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown, display
from PIL import Image
from skimage import data

import threedpsp
from threedpsp.widgets import show_row

plt.rcParams |= {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}

# %% [markdown]
# ## Photos
#
# Five are enough to see how it works, and far too few to conclude anything. Eileen Collins's portrait comes with
# scikit-image; the other four people do not exist: the generator draws them, and we treat the pictures as photos.
# With a folder of your own, set `photos` to it and go on from the next heading but one.

# %%
def to_pixels(picture):
    """[3,H,W] in [-1,1] -> uint8 [H,W,3], as a photo is stored."""
    return ((picture.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()


photos = Path("output/photos")
photos.mkdir(parents=True, exist_ok=True)
pipeline = threedpsp.load("tiny", device="cpu")
Image.fromarray(data.astronaut()).save(photos / "astronaut.png")
people = [threedpsp.random_head(pipeline.generator, seed, truncation=0.8) for seed in (3, 4, 6, 8)]
for number, picture in enumerate(threedpsp.render_views(pipeline, people, side=384).image):
    Image.fromarray(to_pixels(picture)).save(photos / f"drawn_{number}.png")
crops = [threedpsp.prepare(path) for path in sorted(photos.glob("*.png"))]
show_row([crop.image for crop in crops], height=1.5)

# %% [markdown]
# ## What each measure sees
#
# Take one photo and spoil it in four ways that you would judge very differently.

# %%
crop = crops[0]
photo = torch.nn.functional.adaptive_avg_pool2d(crop.image, 128)
blurred = torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(photo, 4), size=128, mode="bilinear")
other = torch.nn.functional.adaptive_avg_pool2d(crops[2].image, 128)
spoiled = {
    "darker": photo * 0.8 - 0.2,
    "blurred": blurred,
    "moved by\n4 pixels": photo.roll(4, dims=3),
    "another\nperson": other,
}
show_row([photo, *spoiled.values()], ["photo", *spoiled], height=1.5)

# %%
figure, axes = plt.subplots(1, 4, figsize=(9, 2.2), layout="constrained")
measures = {"psnr": "PSNR, dB\n(higher = closer)", "ssim": "SSIM\n(higher = closer)",
            "lpips": "ST-LPIPS\n(lower = closer)", "identity": "identity\n(lower = closer)"}
found = {name: threedpsp.compare(crop, picture).means for name, picture in spoiled.items()}
for axis, (measure, title) in zip(axes, measures.items(), strict=True):
    values = [means[measure] for means in found.values()]
    axis.barh([name.replace("\n", " ") for name in found], values, color=["C0", "C1", "C2", "C3"])
    axis.set_title(title)
    axis.invert_yaxis()
    if axis is not axes[0]:
        axis.set_yticklabels([])
axes[3].axvline(0.6, color="0.4", linestyle=":")
plt.show()

# %% [markdown]
# - **PSNR** (and L2, the same on another scale) asks each pixel by itself. The blurred picture wins, and four pixels to
#   the side, which nobody notices, cost nearly as much as another face.
# - **SSIM** compares patterns in small windows instead of pixels. Here, too, blur wins.
# - **LPIPS** compares features of a network that knows pictures; **ST-LPIPS**, used here because its weights come with
#   a package, is its shift-tolerant kin. To it the blurred picture is as bad as another person, and four pixels are
#   nothing. **DISTS** is a third of this family.
# - **Identity** is the distance between two embeddings of a face recogniser (dlib's here; ArcFace where its file is).
#   Below 0.6, dotted, dlib says "the same person". Only the last picture is beyond.
#
# No measure is right alone. A system that is trained on one of them is flattered by it: ours are trained with
# ST-LPIPS on AlexNet and with dlib's network, so the tables also have ST-LPIPS on VGG-16, which they have never met.
#
# ## Who is who
#
# How large is an identity distance of 0.5? Only others can tell: here every photo against every head that the encoder
# makes of one.

# %%
heads = [pipeline.invert(crop, likeness="none") for crop in crops]
views = threedpsp.own_views(pipeline, heads)
matrix = np.array([[threedpsp.compare(crop, view[None]).means["identity"] for view in views] for crop in crops])
figure, axis = plt.subplots(figsize=(4.2, 3.2), layout="constrained")
drawn = axis.imshow(matrix, cmap="viridis")
for (row, column), value in np.ndenumerate(matrix):
    axis.text(column, row, f"{value:.2f}", ha="center", va="center", color="w" if value < 0.7 else "k")
axis.set(xlabel="head of photo", ylabel="photo", xticks=range(5), yticks=range(5))
figure.colorbar(drawn, label="identity distance")
plt.show()
show_row([*(crop.image for crop in crops), *views], columns=5, height=1.2)

# %% [markdown]
# The diagonal should be the lowest of its row and its column. For the people that the generator itself has drawn this
# is easy; for the real photo of row 0 the encoder alone gives a relative rather than the person. And all the drawn
# ones are nearer to each other than 0.6: to dlib they are one family, a small generator has little variety. A threshold
# says nothing without the distances of *other* people beside it.
#
# ## From the side
#
# A head is made to be turned, and no photo shows its side. So we ask two questions that need none. *Is it still the
# same person?* Identity again, between the photo and turned views. *Has it turned as far as the camera?* Find the
# face in the render, fit a camera to it, compare:

# %%
yaws = [-40, -30, -20, -10, 0, 10, 20, 30, 40]
around = pipeline.generator.config.camera_sphere.at(torch.tensor(yaws))
turned = threedpsp.render_views(pipeline, [heads[0]], around, side=512)
fitted = []
for picture in turned.image:
    try:
        fitted.append(threedpsp.prepare(to_pixels(picture)).camera.yaw_degrees.item())
    except threedpsp.NoFaceError:
        fitted.append(np.nan)
show_row([*turned.image[::2].unsqueeze(1)], [f"{yaw:+d}°" for yaw in yaws[::2]], height=1.3)

# %%
figure, axis = plt.subplots(figsize=(3.4, 3.0), layout="constrained")
axis.plot(yaws, yaws, color="0.6", linestyle=":", label="the camera's yaw")
axis.plot(yaws, fitted, "o-", label="yaw found in the render")
axis.set(xlabel="yaw of the camera, degrees", ylabel="yaw found, degrees")
axis.legend(frameon=False)
plt.show()

# %% [markdown]
# A flat head would stay behind the dotted line. (The finder itself is good to about 3 degrees, and has trouble beyond
# 30.) Where it finds no face, a view counts as lost, and that share is a figure of its own.
#
# **Depth agreement** goes further: lift each pixel of the front view to its depth, look at it from the side, and
# compare with the depth that is seen there. One solid surface agrees with itself; fog does not. Near is bright:

# %%
show_row([*turned.depth[::2, 0].numpy()], [f"{yaw:+d}°" for yaw in yaws[::2]], height=1.3)

# %% [markdown]
# ## Sets of pictures: FID, and why not here
#
# FID compares two *sets*: a Gaussian is fitted to the features of each, and the distance of the Gaussians is the
# figure. It says whether renders, as a crowd, look like photos; nothing about any one of them. And it needs crowds.
# Below, both sets come from the very same distribution, so the true distance is 0:

# %%
def frechet(a, b):
    """Fréchet distance of two sets of features [N,d]."""
    means = np.square(a.mean(0) - b.mean(0)).sum()
    ca, cb = np.cov(a.T), np.cov(b.T)
    roots = np.sqrt(np.linalg.eigvals(ca @ cb).astype(complex)).real.sum()
    return means + np.trace(ca) + np.trace(cb) - 2 * roots


rng = np.random.default_rng(0)
sizes = [10, 30, 100, 300, 1000, 3000]
distances = [frechet(rng.normal(size=(n, 64)), rng.normal(size=(n, 64))) for n in sizes]

# %%
figure, axis = plt.subplots(figsize=(4.5, 2.4), layout="constrained")
axis.loglog(sizes, distances, "o-")
axis.set(xlabel="pictures in each set", ylabel="Fréchet distance\n(the truth: 0)")
plt.show()

# %% [markdown]
# With 64 features and ten pictures the distance of a set to its own twin is enormous; Inception, which FID uses, has
# 2,048. So compare FIDs only of sets of the same size, never with a paper's. Offline we give the distance another
# name, `frechet_vgg`, because its network is another one.
#
# ## The table
#
# All of this, for any number of systems, is one command. It states its protocol, and writes CSV, JSON and a page with
# pictures. We compare the encoder with its heads after ten updates of refining:

# %%
command = [sys.executable, "-m", "threedpsp", "evaluate", str(photos), "--methods", "3dpsp,refine",
           "--refine-steps", "10", "--yaws", "15", "30", "--device", "cpu", "--json", "-o", "output/evaluation"]
done = subprocess.run(command, capture_output=True, text=True)
if done.returncode:
    raise RuntimeError(done.stderr)
report = Path("output/evaluation/evaluation.md").read_text()
display(Markdown(report.partition("Protocol:")[0]))

# %% [markdown]
# ## What follows from it
#
# A mean of five photos moves when you take five others. The *bootstrap* pretends that your photos are the world:
# draw five of them with repetition, take the mean, do it 2,000 times; the middle 95 % is the interval. And where both
# systems saw the same photos, compare photo by photo *first*:

# %%
import csv

with open("output/evaluation/evaluation.csv", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
before = np.array([float(row["encoder/identity"]) for row in rows if row["method"] == "3dpsp"])
after = np.array([float(row["refined/identity"]) for row in rows if row["method"] == "refine"])
print("paired:", (after - before).round(3))

# %%
draws = rng.integers(0, len(before), (2000, len(before)))
figure, (left, right) = plt.subplots(1, 2, figsize=(7.5, 2.4), sharey=True, layout="constrained")
for values, label in ((before, "encoder"), (after, "refined")):
    left.hist(values[draws].mean(1), bins=40, alpha=0.6, label=label)
right.hist((after - before)[draws].mean(1), bins=40, color="C2")
right.axvline(0, color="0.4", linestyle=":")
left.set(xlabel="mean identity distance", ylabel="of 2,000 draws")
right.set(xlabel="mean difference, photo by photo")
left.legend(frameon=False)
plt.show()

# %% [markdown]
# Left, the two means with their uncertainty: they overlap, because one photo is real and hard and four are drawn and
# easy, and every draw has another mixture. Right, the difference within each photo: the mixture drops out, and no
# draw comes near 0. The table's differences are made in this way, which is also why *your* photos must be the same
# for all systems. (And with some twenty figures in a table, one will leave its interval by chance.)
#
# ## Failures
#
# Look at the worst before you believe the mean. Three kinds deserve names. *No face*: reported, and the others go on.
# *Something in front of the face*: the generator has no hands and no microphones, and makes skin of them. *The wrong
# camera*: the head looks right from the front and is bent from the side.

# %%
try:
    threedpsp.prepare(data.chelsea())
except threedpsp.NoFaceError as error:
    print(f"the cat: {error}")
covered = data.astronaut().copy()
covered[125:175, 195:255] = (90, 110, 160)
hidden = threedpsp.prepare(covered)
wrong = pipeline.invert(hidden, likeness="none")
show_row([hidden.image, threedpsp.own_views(pipeline, [wrong])], ["a box over the mouth", "its head"], height=1.8)

# %% [markdown]
# ## Exercises
#
# 1. Find a change of the photo that identity does not notice and you do. And the other way round?
# 2. Run the table with twenty photos of your own. How many does it take until the interval of the paired difference
#    of your favourite figure is half as wide?
# 3. Make a head that is good by PSNR and bad by depth agreement. (A picture glued onto a flat plane would be perfect
#    from the front.) Which figures of the table give it away?
# 4. Refine with 3, 10 and 80 updates. Which figure stops improving first, and does any get worse?
# 5. `threedpsp evaluate --help` lists what else can be compared. Put your encoder of [notebook 03](03_training.ipynb)
#    into the table: `--methods 3dpsp,mine=output/own-encoder/best/encoder.safetensors`.
