# %% [markdown]
# # What happens to a photo before any network sees it
#
# **What you will make.** Three pictures of the same portrait: cut as the generator's training photos were, with the
# camera that took it, and with a map of where its mirror image may be believed. Each is made step by step, and
# checked by hand.
#
# **How long it takes.** About 1 minute on two processor cores.
#
# None of this is glamorous, and most bad results begin here. The generator has only ever seen faces cut in one way by
# cameras on one sphere. A photo that is cut differently is, to it, a strange person; a wrong camera is explained by a
# wrong shape.

# %%
import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image
from skimage import data

import threedpsp
from threedpsp.widgets import show_row

plt.rcParams |= {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
photo = data.astronaut()

# %% [markdown]
# ## 1. Alignment: which part of the photo
#
# A detector marks 478 points on the face. Five of them (the eyes' middles, the tip of the nose, the corners of the
# mouth) are fitted to a mean face, and the fit says how much to enlarge the photo and where to cut. The result
# remembers the map from photo to crop: an affine matrix $A$ with $x_\text{crop} = A\,[x_\text{photo}, 1]^\top$. We
# undo it to draw the crop's outline, and the points, on the photo itself.

# %%
crop = threedpsp.align([photo])
matrix = crop.source_to_crop[0].numpy()
print(matrix.round(3))
turn, shift = matrix[:, :2], matrix[:, 2]


def to_photo(points):
    """Crop pixels -> photo pixels."""
    return (np.asarray(points) - shift) @ np.linalg.inv(turn).T

# %%
side = crop.image.shape[-1]
landmarks = crop.landmarks[0].numpy()
outline = to_photo([(0, 0), (side, 0), (side, side), (0, side), (0, 0)])
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.5), layout="constrained")
left.imshow(photo)
left.plot(*outline.T, color="tab:orange", linewidth=1.5)
left.scatter(*to_photo(landmarks).T, s=0.3, color="cyan")
left.set_title("478 points and what will be cut out")
right.imshow((crop.image[0].permute(1, 2, 0) + 1) / 2)
right.scatter(*landmarks.T, s=1, color="cyan")
right.set_title(f"the crop, {side} x {side}")
for axis in (left, right):
    axis.axis("off")

# %% [markdown]
# **What to notice:** the matrix has no rotation, only one scale and a shift. EG3D's crop, unlike FFHQ's, does *not*
# turn a tilted head upright. Let us tilt the photo and see who takes care of it.

# %%
angles = (-15, 0, 15)
tilted = [np.asarray(Image.fromarray(photo).rotate(angle, Image.Resampling.BICUBIC)) for angle in angles]
crops = threedpsp.align(tilted)
right_vector = crops.camera.cam2world[:, :3, 0].numpy()
rolls = np.degrees(np.arctan2(right_vector[:, 1], right_vector[:, 0])).tolist()
titles = [f"photo turned {angle:+d}°, camera {roll:+.0f}°" for angle, roll in zip(angles, rolls, strict=True)]
show_row(threedpsp.pose_overlay(crops), titles, height=2.3)

# %% [markdown]
# The tilt went into the *camera*: on top of the 3° that she holds her own head, its right-hand axis is turned by the
# same angle, the other way round. In the generator's world every head stands upright, and photographers tilt their
# cameras.
#
# ### Faces at the edge
#
# What if the cut reaches beyond the photo? `border` decides: black, as the published pipeline has it, or the photo
# mirrored at its edge, which is our default. Black bars are something the generator tries to explain; mirrored hair
# it can ignore.

# %%
cut = photo[60:, 165:]  # without the top and the side of her hair
borders = [threedpsp.align([cut], border=border).image for border in ("black", "mirror")]
show_row([cut, *borders], ["a badly framed photo", "black", "mirrored"])

# %% [markdown]
# ## 2. The camera
#
# A camera is 25 numbers to a network: a 4 x 4 matrix that takes camera coordinates to the world (OpenCV's axes: x
# right, y down, z forward), and a 3 x 3 matrix of intrinsics in units of the picture's side. To us it is a place on a
# sphere of radius 2.7 around the head, given by yaw and pitch.

# %%
camera = crop.camera
print(camera.cam2world[0].numpy().round(3))
print(camera.intrinsics[0].numpy().round(3))
print(f"yaw {camera.yaw_degrees.item():+.1f}°, pitch {camera.pitch_degrees.item():+.1f}°")
print(f"distance from the origin {camera.position.norm().item():.2f}; the label has {camera.label.shape[1]} numbers")

# %% [markdown]
# Do not believe a matrix that you have not used. Projecting a point takes three lines: world to camera with the
# inverse, divide by the depth, apply the intrinsics. We project the head's axes and an ellipsoid about as large as a
# head.

# %%
def project(points, camera):
    """World points [P,3] -> crop pixels [P,2]."""
    cam2world, intrinsics = camera.cam2world[0].numpy(), camera.intrinsics[0].numpy()
    local = (np.asarray(points) - cam2world[:3, 3]) @ cam2world[:3, :3]  # R transposed, row by row
    image = local / local[:, 2:] @ intrinsics.T
    return image[:, :2] * side


around = np.linspace(0, 2 * np.pi, 60)
rings = []
for height in np.linspace(0.3, np.pi - 0.3, 9):
    x, z = 0.2 * np.sin(height) * np.cos(around), 0.2 * np.sin(height) * np.sin(around)
    rings.append(np.stack([x, np.full_like(x, 0.27 * np.cos(height)), z], axis=1))

# %%
figure, axis = plt.subplots(figsize=(3.4, 3.4), layout="constrained")
axis.imshow((crop.image[0].permute(1, 2, 0) + 1) / 2)
for ring in rings:
    axis.plot(*project(ring, camera).T, color="white", linewidth=0.6, alpha=0.8)
for direction, colour in zip(np.eye(3), ("tab:red", "tab:green", "tab:blue"), strict=True):
    axis.plot(*project([np.array([0, 0, 0.2]), np.array([0, 0, 0.2]) + 0.2 * direction], camera).T, color=colour)
axis.set(xlim=(0, side), ylim=(side, 0))
axis.axis("off")
axis.set_title("axes and rings of a head")
plt.show()

# %% [markdown]
# The rings slope downwards at the front because this camera looks from a little above; or, what is the same, because
# she lowers her chin a little. No single photo can tell the two apart, and no model needs to.
#
# ### From the front and from the side
#
# Seen from above, cameras lie on a circle. Here is the photo's beside those of a video that swings, and the mirrored
# one, which will matter in a moment.

# %%
figure, axis = plt.subplots(figsize=(4.2, 3.2), layout="constrained")
swing = threedpsp.camera_path("swing", 24, camera, yaw_degrees=30)
tilt = threedpsp.estimate_pose(crop, turn_yaw=18).camera
shown = {"a swing of ±30°": (swing, "0.75"), "the photo": (camera, "tab:blue")}
shown |= {"18° farther": (tilt, "tab:orange"), "that one, mirrored": (tilt.mirrored(), "tab:red")}
for name, (cameras, colour) in shown.items():
    x, z = cameras.position[:, 0], cameras.position[:, 2]
    axis.scatter(x, z, s=24, color=colour, label=name)
    axis.quiver(x, z, *cameras.cam2world[:, [0, 2], 2].T, color=colour, width=0.004, scale=9)
axis.add_patch(plt.Circle((0, 0), 0.25, color="0.9"))
axis.annotate("head", (0, 0), ha="center", va="center")
axis.set(xlabel="x (to the head's left)", ylabel="z (out of the face)", aspect="equal")
axis.legend(fontsize=7, loc="center", frameon=False)
plt.show()

# %% [markdown]
# ## 3. Where can the mirror image be trusted?
#
# One photo shows one side. Faces, luckily, are nearly symmetric: flipped left to right, the photo is *almost* another
# photo of the same head, from the mirrored camera $S\,C\,S$ with $S = \mathrm{diag}(-1, 1, 1, 1)$. Training and
# refining use it as a second view. First a check: the camera estimated on the flipped photo should be the mirrored
# camera.

# %%
turned = crops[2]  # the photo that was tilted by 15 degrees
source = tilted[2][:, ::-1].copy()
flipped = threedpsp.align([source])
difference = (flipped.camera.cam2world - turned.camera.mirrored().cam2world).abs().max().item()
for name, view in (("photo", turned.camera), ("mirrored", turned.camera.mirrored()), ("estimated", flipped.camera)):
    print(f"{name:10s} yaw {view.yaw_degrees.item():+5.2f}°  pitch {view.pitch_degrees.item():+5.2f}°")
print(f"largest difference in cam2world: {difference:.3f}")

# %% [markdown]
# *Almost* is the problem: a parting, a shadow, a strand of hair, whatever lies behind. So we estimate for every pixel
# how *uncertain* the flip is. The loss of the mirrored view is divided by one plus this map (`mirror_sigma`): 0 means
# full trust, 1 means half.

# %%
crop = threedpsp.estimate_confidence(crop)
sigma = crop.mirror_sigma[0].numpy()
apart = (crop.image - crop.image.flip(-1)).abs().mean(1)[0].numpy()
figure, axes = plt.subplots(1, 4, figsize=(9, 2.7), layout="constrained")
titles = ("flipped photo", "difference to the photo", "uncertainty", "weight 1 / (1 + uncertainty)")
for axis, title in zip(axes, titles, strict=True):
    axis.set_title(title)
    axis.axis("off")
axes[0].imshow((crop.image[0].flip(-1).permute(1, 2, 0) + 1) / 2)
axes[1].imshow(apart, cmap="magma", vmin=0, vmax=1)
figure.colorbar(axes[2].imshow(sigma, cmap="magma", vmin=0), ax=axes[2], shrink=0.75)
figure.colorbar(axes[3].imshow(1 / (1 + sigma), cmap="viridis", vmin=0, vmax=1), ax=axes[3], shrink=0.75)
plt.show()

# %% [markdown]
# **What to notice:** the map is not the difference. Where a face is turned or off the middle, flipped pixels lie
# beside their partners, not on them, and every edge shows up twice. The estimate compares each point of the *face*
# with its twin, to which the landmarks lead; it compares coarsely where there is no face, and adds what a small
# misplacement would cost where the picture changes fast.
#
# Let us put it to the test, and light the face from one side only.

# %%
ramp = torch.linspace(1.0, 0.25, side)  # darker towards the right of the picture
lit = (crop.image + 1) * ramp - 1
shaded = threedpsp.estimate_confidence(dataclasses.replace(crop, image=lit))
heats = [threedpsp.confidence_heat(one) for one in (crop, shaded)]
show_row([crop.image, heats[0], lit, heats[1]], ["as it was", "", "lit from one side", ""], height=1.9)
for name, one in (("as it was", crop), ("lit from one side", shaded)):
    print(f"{name:18s} mean trust {threedpsp.confidence_on_photo(one).mean().item():.2f}")

# %% [markdown]
# Violet is trusted, red and yellow is not. The lamp cost trust on the face, and nothing else had to be told about it.
#
# ## All at once
#
# `prepare` is these three steps in one call, and what `threedpsp prepare photos/ -o crops` writes for whole folders.

# %%
whole = threedpsp.prepare(photo)
same = bool((whole.image == crop.image).all() and (whole.camera.label == crop.camera.label).all())
print(f"the same crop and camera: {same}; uncertainty {tuple(whole.mirror_sigma.shape)}")
print(*whole.notes, sep="\n")

# %% [markdown]
# ## Exercises
#
# 1. Shrink the photo to 200 pixels before aligning it. What does the note say, and how far does the camera move? At
#    which size does no face remain?
# 2. Change `turn_yaw` in `estimate_pose` by 10 degrees, invert both crops as in [notebook
#    01](01_one_photo_to_a_turning_head.ipynb), and compare the two heads from the side. How does the generator
#    explain the error?
# 3. Derive $S\,C\,S$: why is the camera multiplied on both sides, and what would a multiplication from the left alone
#    do to its handedness?
# 4. Paint a moustache on one half of the lip. Does the uncertainty find it? How large must it be?
