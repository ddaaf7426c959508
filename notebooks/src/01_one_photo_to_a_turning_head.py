# %% [markdown]
# # One photo to a turning head
#
# **What you will make.** A video of a head that turns, from a single portrait; and a view that you turn with the
# mouse.
#
# **How long it takes.** About 2 minutes on two processor cores, without a GPU and without any download.
#
# Three networks are at work, and two of them you will meet again in every notebook here. An *encoder* looks at the
# photo and answers with a code of a few thousand numbers. A *generator* turns any such code into a head that can be
# seen from any side. Between the two lies the whole idea: we do not rebuild *this* face from *this* photo, which
# would be hopeless from one view. We ask which of all the heads that the generator can make looks most like it.

# %%
from pathlib import Path

from skimage import data

import threedpsp
from threedpsp.widgets import show_row, viewer

output = Path("output")
output.mkdir(exist_ok=True)
photo = data.astronaut()  # or the path of a photo of your own: photo = "me.jpg"
show_row([photo])

# %% [markdown]
# The photo is Eileen Collins's official NASA portrait, which is in the public domain and comes with scikit-image.
#
# ## Load the model
#
# `"tiny"` is a small model that is part of the package: 128 pixels, trained on 639 public-domain portraits. With the
# published weights the same line reads `threedpsp.load("ffhqrebalanced512-128.pkl", encoder="3DpSp.pt")`, and every
# cell below stays as it is: nothing here knows how large the model is. It asks.

# %%
pipeline = threedpsp.load("tiny")
config = pipeline.generator.config
print(f"runs on          {pipeline.device}")
print(f"pictures         {config.img_resolution} x {config.img_resolution} pixels")
print(f"a head's code    {config.num_ws} style vectors of {config.w_dim} numbers")
print(f"numbers to tune  {sum(p.numel() for p in pipeline.generator.parameters()) / 1e6:.1f} million")

# %% [markdown]
# ## Step 1: what the encoder sees
#
# Every photo that the generator learned from had been cut in the same way: eyes at the same height, the face filling
# the same part of the square. The encoder expects that too. `prepare` finds the face, cuts it out, and estimates from
# where the camera looked. [Notebook 02](02_preprocessing.ipynb) opens this step up.

# %%
crop = threedpsp.prepare(photo)
yaw, pitch = crop.camera.yaw_degrees.item(), crop.camera.pitch_degrees.item()
print(f"The camera stood {yaw:+.1f}° to the side and {pitch:+.1f}° up.")
print(*crop.notes, sep="\n")
show_row([photo, crop.image, threedpsp.pose_overlay(crop)], ["the photo", "aligned", "landmarks and axes"])

# %% [markdown]
# Red points to the person's left, green up, blue out of the face. If the blue axis does not follow the nose, stop
# here: a wrong camera is the commonest reason for a bad head, because the encoder then explains the pose with the
# shape.
#
# ## Step 2: photo to code
#
# The encoder does not answer once. It starts from the generator's average head, compares it with the photo, proposes
# a step in code space, renders, compares again (*ReStyle*). Each picture below is such an answer.

# %%
inversion = pipeline.invert(crop, likeness="none")
steps = [image for _, image in inversion.steps]
titles = [f"step {number}" for number in range(1, len(steps) + 1)]
show_row([crop.image, *steps], ["photo", *titles], height=1.6)

# %% [markdown]
# What to notice: the first step decides almost everything (pose, hair, background); later ones only adjust. The
# result is a relative rather than a twin. The encoder has one try at any face in the world, in a second or two.
#
# How much of a relative? PSNR counts pixels, ST-LPIPS compares what a network sees in them (lower is closer), and the
# identity distance is that of a face recogniser: below 0.6 it says *the same person*.

# %%
before = threedpsp.compare(crop, inversion.render.image).photos[0]
for name, value in before.items():
    print(f"{name:9s} {value:6.3f}")

# %% [markdown]
# ## Step 3: refine
#
# Now that we are near, gradient descent can finish the work on this one photo: it moves the code, the camera by a few
# degrees, and at last the generator's own weights. It also watches views that no photo shows, so that the head does
# not become a flat mask ([notebook 06](06_refine_and_edit.ipynb)). Twenty steps are a taste; a hundred are better.

# %%
head = pipeline.refine(inversion, crop, threedpsp.RefineConfig(steps=20))
after = threedpsp.compare(crop, head.render.image).photos[0]
print(f"PSNR     {before['psnr']:5.1f} -> {after['psnr']:5.1f} dB")
print(f"identity {before['identity']:5.2f} -> {after['identity']:5.2f}")
show_row([crop.image, inversion.render.image, head.render.image], ["photo", "encoder", "refined"])

# %% [markdown]
# ## Step 4: turn it
#
# A camera path is a list of cameras; `swing` begins at the photo's own. Frames are rendered one at a time, so a long
# video costs no more memory than a short one.

# %%
cameras = threedpsp.camera_path("swing", 24, head.camera, yaw_degrees=25)
frames = list(pipeline.frames(head, cameras, side=256))
threedpsp.write_video(output / "head.mp4", frames, fps=12)
shown = [18, 21, 0, 3, 6]  # a swing begins in front, goes to its right, and comes back by its left
angles = [f"{cameras.yaw_degrees[index].item():+.0f}°" for index in shown]
show_row([frames[index] for index in shown], angles, height=1.7)

# %% [markdown]
# `output/head.mp4` is the video. The generator was shown faces from the front and a little from the side, so it knows
# about 30° to each side; the ear beyond is invention, and there is no back of the head.
#
# ## Turn it yourself
#
# Drag the picture, or use the sliders or the arrow keys. It is coarse while it moves and sharp when it rests.
# *Iteration* goes back to the encoder's first answer, and *Another photo* starts over with yours.

# %%
view = viewer(pipeline, head, crop)
view

# %% [markdown]
# The widget does nothing that you could not: a plain function makes its pictures, and takes the same settings.

# %%
from threedpsp.widgets import HeadViews

views = HeadViews(pipeline, head, crop)
pictures = [views.picture(-20), views.picture(20), views.picture(20, 25), views.picture(20, depth=True)]
show_row(pictures, ["-20°", "+20°", "+20°, 15° higher", "depth at +20°"])

# %% [markdown]
# ## Keep it
#
# One file holds everything that makes this head: code, camera, and what refining changed. It renders again later, in
# the command line (`threedpsp render output/head.safetensors`), in ComfyUI, or here.

# %%
threedpsp.save_inversion(output / "head.safetensors", head)
again = threedpsp.load_inversion(output / "head.safetensors")
print(f"{(output / 'head.safetensors').stat().st_size / 1e6:.1f} MB, {len(again)} head")

# %% [markdown]
# ## Exercises
#
# 1. Use a photo of your own: frontal first, then one from the side. At which angle does the encoder begin to fail,
#    and does the pose overlay tell you beforehand?
# 2. Refine for 5, 20 and 100 steps and plot PSNR and identity distance against the steps. Which of the two saturates
#    first?
# 3. Replace `"swing"` by `"ellipse"` and by `"dolly"`. Why does the face look different in a dolly zoom although
#    neither the head nor its size in the picture changes?
# 4. Move the *Iteration* slider with *Depth* switched on. Does the shape change as much as the picture?
