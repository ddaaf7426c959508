# %% [markdown]
# # Refine and edit
#
# **What you will make.** A head brought close to its photo, and a record of what that cost; a blend of two people;
# four sliders that nobody programmed, found in the code space itself; and files to take along: video, mesh, latent.
#
# **How long it takes.** About 2 minutes on two processor cores, most of it refining.
#
# An encoder answers in a second, for any face. What it returns is a *place* in code space, and a place can be
# improved, compared with others, and walked away from in directions that mean something. This notebook does all
# three.

# %%
import dataclasses
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from skimage import data

import threedpsp
from threedpsp.widgets import show_row

plt.rcParams |= {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}

# %%
output = Path("output")
output.mkdir(exist_ok=True)
pipeline = threedpsp.load("tiny")
crop = threedpsp.prepare(data.astronaut())

# %% [markdown]
# ## 1. What the encoder's steps do
#
# Each step renders the current head, puts it beside the photo, and proposes a change of all rows of the code. If the
# loop works, changes should shrink, and the picture should come closer.

# %%
head = pipeline.invert(crop, likeness="none")
start = pipeline.encoder.latent_avg.cpu()
codes = [start, *(ws.cpu() for ws, _ in head.steps)]
lengths = [(after - before).norm().item() for before, after in zip(codes, codes[1:], strict=False)]
target = torch.nn.functional.adaptive_avg_pool2d(crop.image, head.steps[0][1].shape[-1])


def psnr(image, photo):
    """Peak signal-to-noise ratio in dB of pictures in [-1,1]."""
    return (10 * torch.log10(4 / (image.cpu().clamp(-1, 1) - photo).square().mean())).item()

# %%
qualities = [psnr(image, target) for _, image in head.steps]
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.3), layout="constrained")
numbers = range(1, len(lengths) + 1)
left.bar(numbers, lengths, color="tab:blue")
left.set(xlabel="step", ylabel="length of the change in W+", yscale="log")
right.plot(numbers, qualities, "o-", color="tab:orange")
right.set(xlabel="step", ylabel="PSNR, dB", xticks=list(numbers))
plt.show()

# %% [markdown]
# The first step walks nearly all of the way. The loop converges, but not *to the photo*: it converges to the
# encoder's opinion, and no sixth step will change that.
#
# ## 2. Refining
#
# So we stop asking and start optimising, on this photo alone: the code first, together with the camera (a few
# degrees); then the generator's own weights. The loss has three terms for the photo (squared error, ST-LPIPS,
# identity) and three guards: the mirrored view, divided by the uncertainty from [notebook
# 02](02_preprocessing.ipynb); the identity of views that no photo shows; and depth, which shall stay what it was. We
# watch it work:

# %%
pictures = []
photo = torch.nn.functional.adaptive_avg_pool2d(crop.image, pipeline.generator.config.img_resolution)
settings = threedpsp.RefineConfig(steps=12)
refined = pipeline.refine(head, crop, settings, on_image=lambda image: pictures.append(image.detach().cpu()))
curve = [psnr(image, photo) for image in pictures]
tuning = settings.tune_after * len(curve)
figure, axis = plt.subplots(figsize=(6, 2.3), layout="constrained")
axis.plot(curve, color="tab:orange")
axis.axvspan(tuning, len(curve), color="0.93", zorder=0)
axis.annotate("the generator's weights too", (tuning, max(curve)), xytext=(4, -4), textcoords="offset points", va="top")
axis.set(xlabel="step", ylabel="PSNR at the photo's view, dB")
plt.show()

# %%
first, last = (threedpsp.compare(crop, one.render.image).photos[0] for one in (head, refined))
print(f"{'':10s}{'encoder':>9s}{'refined':>9s}")
for name in first:
    print(f"{name:10s}{first[name]:9.3f}{last[name]:9.3f}")
middle = pictures[len(pictures) // 2]
show_row([crop.image, head.render.image, middle, refined.render.image], ["photo", "encoder", "half way", "refined"])

# %% [markdown]
# ### What the guards are for
#
# With enough freedom any head can be made to match one picture: the model may simply paint the photo on whatever
# shape it has. You see it from the side only. Here is the same budget without guards.

# %%
free = dataclasses.replace(settings, mirror_weight=0, novel_weight=0, geometry_weight=0, distance_weight=0)
unguarded = pipeline.refine(head, crop, free)
side_view = threedpsp.camera_path("swing", 4, refined.camera, yaw_degrees=25)[1:2]
heads = {"encoder": head, "guarded": refined, "unguarded": unguarded}
views = threedpsp.render_views(pipeline, list(heads.values()), side_view)
show_row([*views.image, *views.normals], [*heads, *(f"{name}, normals" for name in heads)], columns=3, height=1.7)
moved = [(views.depth[i] - views.depth[0]).abs().mean().item() for i in range(3)]
print(", ".join(f"{name}: depth moved by {value:.3f}" for name, value in zip(heads, moved, strict=True)))

# %% [markdown]
# **What to notice:** after a dozen steps the difference is small, and it is in the depth rather than in the picture.
# It grows with the budget: exercise 2 asks you to spend more.

# %% [markdown]
# ## 3. Two people
#
# Codes can be averaged, and the average of two people is a person: that is what training a generator bought us. The
# second head here is nobody, drawn from the generator; with a second photo it would be
# `pipeline.invert(threedpsp.prepare("you.jpg"))`.

# %%
nobody = threedpsp.random_head(pipeline.generator, 3, truncation=0.9)
amounts = (0.0, 0.25, 0.5, 0.75, 1.0)
rows = ("everything", "shape", "colours")
blends = [threedpsp.blend(head, nobody, amount, what=what) for what in rows for amount in amounts]
titles = [f"{what} {amount:.0%}" for what in rows for amount in amounts]
show_row(threedpsp.own_views(pipeline, blends), titles, columns=len(amounts), height=1.5)

# %% [markdown]
# **What to notice:** `shape` moves the coarse half of the rows, `colours` the fine half ([notebook
# 05](05_inside_the_generator.ipynb) measures which row does what). We blend the encoder's head, not the refined one:
# weights that were tuned for one photo suit one person, and away from that person they are out of place.
#
# ## 4. Directions that nobody programmed
#
# Draw a thousand codes and ask along which directions they vary most (principal components; the idea is GANSpace's).
# No label is needed, and the first few mean something.

# %%
generator = pipeline.generator
with torch.no_grad():
    z = torch.randn(1000, generator.config.z_dim, generator=torch.Generator().manual_seed(0))
    styles = generator.mapping(z.to(generator.device), generator.frontal_camera)[:, 0].cpu()
centred = styles - styles.mean(0)
_, strength, components = torch.linalg.svd(centred, full_matrices=False)
share = strength.square() / strength.square().sum()
deviation = strength / len(styles) ** 0.5
count = int((share.cumsum(0) < 0.9).sum()) + 1
print(f"{count} of {len(share)} directions hold 90 % of the variance")

# %%
def moved_by(head, direction, amount):
    """The head with a direction [w_dim] added to every row of its code."""
    ws = head.latent.ws + amount * direction.to(head.latent.ws)
    return dataclasses.replace(head, latent=dataclasses.replace(head.latent, ws=ws), render=None, steps=())


amounts = (-2, -1, 0, 1, 2)
walk = [moved_by(head, components[k] * deviation[k], amount) for k in range(3) for amount in amounts]
titles = [f"component {k + 1}, {amount:+d} σ" for k in range(3) for amount in amounts]
show_row(threedpsp.own_views(pipeline, walk), titles, columns=len(amounts), height=1.5)

# %% [markdown]
# ## 5. Directions with a name
#
# If something can be *measured* on a picture, there is a direction for it. Render heads of nobody, measure them, and
# fit a line from code to measurement; its gradient is the direction. We measure how bright the top of the head is:
# hair.

# %%
def hair_brightness(image):
    """Mean brightness of the crown, pictures in [-1,1] with the head in its usual place."""
    side = image.shape[-1]
    return image[..., int(0.08 * side) : int(0.2 * side), int(0.3 * side) : int(0.7 * side)].mean((1, 2, 3)).cpu()


samples, measured = styles[:160], []
with torch.no_grad():
    for style in samples:
        ws = style.to(generator.device).expand(1, generator.config.num_ws, -1)
        view = generator.render(generator.planes(ws), ws, generator.frontal_camera, neural_rendering_resolution=32)
        measured.append(hair_brightness(view.image_raw))
measured = torch.cat(measured)

# %% [markdown]
# 160 samples cannot fix 512 unknowns, so we fit in the ten strongest components only (that is what principal
# component regression means), and keep a quarter of the samples back to see whether the line holds for heads that it
# has not seen.

# %%
coordinates = (samples - styles.mean(0)) @ components[:10].T
design = torch.cat([coordinates, torch.ones(len(samples), 1)], 1)
fit = torch.linalg.lstsq(design[:120], measured[:120, None]).solution[:, 0]
predicted = design @ fit
seen, unseen = (np.corrcoef(predicted[part], measured[part])[0, 1] for part in (slice(0, 120), slice(120, None)))
figure, axis = plt.subplots(figsize=(3.2, 2.8), layout="constrained")
axis.scatter(measured[:120], predicted[:120], s=8, color="0.7", label=f"fitted, r = {seen:.2f}")
axis.scatter(measured[120:], predicted[120:], s=12, color="tab:blue", label=f"kept back, r = {unseen:.2f}")
axis.set(xlabel="measured brightness of the crown", ylabel="predicted from the code")
axis.legend(frameon=False)
plt.show()

# %%
slope = fit[:10] @ components[:10]
direction = slope / slope.norm() * (coordinates @ fit[:10]).std() / slope.norm()  # one deviation of the measurement
steps = (-3, -1.5, 0, 1.5, 3)
edited = [moved_by(head, direction, amount) for amount in steps]
images = threedpsp.own_views(pipeline, edited)
titles = [f"{value:+.2f}" for value in hair_brightness(images).tolist()]
show_row(images, titles, height=1.7)

# %% [markdown]
# The numbers are the measured brightness, and the whole picture brightens with the hair. What else changes along the
# way (age? the background?) is what went together in the training photos: a direction is a correlation, and shows the
# data's prejudices as readily as its facts.
#
# ## 6. Take it along

# %%
cameras = threedpsp.camera_path("ellipse", 16, refined.camera, yaw_degrees=20, pitch_degrees=8)
threedpsp.write_video(output / "refined.mp4", pipeline.frames(refined, cameras, side=256), fps=12)
threedpsp.save_inversion(output / "refined.safetensors", refined)
threedpsp.save_inversion(output / "edited.safetensors", edited[-1])
threedpsp.write_mesh(threedpsp.extract_mesh(pipeline, refined, resolution=64), output / "refined.glb")
for file in sorted(output.iterdir()):
    print(f"{file.name:22s} {file.stat().st_size / 1e6:6.2f} MB")

# %% [markdown]
# ## Exercises
#
# 1. Refine with `tune_generator=False, tune_planes=False`. How far does the code alone come, and how does the head
#    look when you edit it afterwards?
# 2. Which of the three guards matters most? Switch them off one at a time, and compare normals from the side.
# 3. Invent a measurement: redness of the lips, darkness of the eye sockets. Find its direction. Which other things
#    does it drag along, and can you subtract them?
# 4. Apply a direction to the coarse half of the rows only, then to the fine half. Which half holds the hair's
#    brightness?
# 5. Save a video of a *blend*: 24 amounts from 0 to 1, seen from 24 cameras of a swing.
