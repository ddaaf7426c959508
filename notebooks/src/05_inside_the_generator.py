# %% [markdown]
# # Inside the generator
#
# **What you will make.** A walk through EG3D, from a handful of random numbers to a coloured mesh: you will look at
# the three planes that hold a head, follow one ray through them with your own arithmetic, and find out what each row
# of the code decides.
#
# **How long it takes.** About 1 minute on two processor cores.
#
# The question that EG3D answers: convolutional networks make superb pictures, and volumes make consistent 3-D, but a
# volume of features is far too large. Its answer: let the convolutional network paint *three pictures*, hang them
# across a cube at right angles, and let a tiny network read what they say at any point in space.

# %%
import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.nn import functional as F

import threedpsp
from threedpsp.widgets import show_row

plt.rcParams |= {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
torch.set_grad_enabled(False)
generator = threedpsp.load_generator("tiny", device="cpu")
config = generator.config

# %% [markdown]
# ## Numbers to heads
#
# `mapping` bends normally distributed numbers $z$ into a *style* $w$. The same $w$ is handed to every layer, one row
# each: together they are the code, `ws`. *Truncation* ψ pulls $w$ towards the mean, and trades variety for safety.

# %%
seeds, psis = (1, 2, 3), (0.0, 0.4, 0.7, 1.0)
heads = [threedpsp.random_head(generator, seed, truncation=psi) for seed in seeds for psi in psis]
titles = [f"seed {seed}, ψ = {psi}" for seed in seeds for psi in psis]
show_row(threedpsp.own_views(generator, heads), titles, columns=len(psis), height=1.5)

# %% [markdown]
# With 0 everybody is the mean. With 1 you see all that the model knows, its mistakes included. We go on with one
# head.

# %%
head = threedpsp.random_head(generator, 2, truncation=0.7)
ws, camera = head.latent.ws, head.camera
planes = generator.planes(ws)
print(f"code      {tuple(ws.shape)}: {config.num_ws} rows of {config.w_dim}")
print(f"planes    {tuple(planes.features.shape)}: 3 planes, {config.plane_resolution} x {config.plane_resolution}, "
      f"{config.plane_channels} channels")
print(f"the cube  {planes.box_warp} world units wide; axes {planes.plane_axes}")
volume = config.plane_resolution**3 * config.plane_channels
print(f"A full volume of the same resolution would hold {volume / planes.features.numel():.0f} times as many numbers.")

# %% [markdown]
# ## The planes
#
# Sixteen or thirty-two channels cannot be shown; their three strongest directions (principal components) can, as red,
# green and blue.

# %%
figure, axes = plt.subplots(1, 3, figsize=(8, 2.9), layout="constrained")
for axis, plane, name in zip(axes, planes.features[0], planes.plane_axes.split("_"), strict=True):
    flat = plane.flatten(0, 1) - plane.mean((0, 1))
    directions = torch.linalg.svd(flat, full_matrices=False)[2][:3]
    colours = (flat @ directions.T).view(*plane.shape[:2], 3)
    low, high = colours.quantile(0.02), colours.quantile(0.98)
    half = planes.box_warp / 2
    axis.imshow(((colours - low) / (high - low)).clamp(0, 1), origin="lower", extent=(-half, half, -half, half))
    axis.set(title=f"plane {name}", xlabel=name[0], ylabel=name[1])
plt.show()

# %% [markdown]
# The first plane is recognisably a face, because the camera looks along z: much of what a front view shows can be
# stored there. The other two hold what the first cannot tell: how far out of the face each thing lies.
#
# ## One ray
#
# A pixel is a ray: from the camera through the pixel's centre, into the cube. Directions come from the intrinsics,
# then the camera's rotation. Seen from the side:

# %%
cam2world, intrinsics = camera.cam2world[0], camera.intrinsics[0]


def pixel_ray(x, y):
    """Origin and unit direction of the ray through (x, y), both in 0..1 of the picture's side."""
    local = torch.linalg.inv(intrinsics) @ torch.tensor([x, y, 1.0])
    return cam2world[:3, 3], F.normalize(cam2world[:3, :3] @ local, dim=0)


near, far = config.rendering.ray_start, config.rendering.ray_end

# %%
figure, axis = plt.subplots(figsize=(7.5, 2.4), layout="constrained")
axis.add_patch(plt.Rectangle((-half, -half), 2 * half, 2 * half, color="0.93"))
for y in np.linspace(0.02, 0.98, 9):
    origin, direction = pixel_ray(0.5, float(y))
    points = origin + torch.linspace(near, far, config.rendering.depth_resolution)[:, None] * direction
    axis.plot([origin[2], points[-1, 2]], [origin[1], points[-1, 1]], color="0.6", linewidth=0.5)
    axis.scatter(points[:, 2], points[:, 1], s=2, color="tab:blue")
axis.scatter(*origin[[2, 1]], color="black", zorder=3)
axis.annotate("camera", origin[[2, 1]].numpy(), xytext=(-8, 8), textcoords="offset points", ha="center")
axis.annotate("the planes' cube", (-half, half), xytext=(0, 3), textcoords="offset points")
axis.set(xlabel="z (out of the face), world units", ylabel="y", aspect="equal")
plt.show()

# %% [markdown]
# ## A point, by hand
#
# To know what is at a point, drop it onto the three planes, read a feature off each (bilinear), average, and ask the
# decoder: two layers that answer with a density and with colour features. That is all. Here it is, without any of the
# library's own machinery for it:

# %%
def ask(points):
    """Density per world unit [P] and the colours [P,3] at world points [P,3]."""
    scaled = points / (planes.box_warp / 2)  # the cube's faces lie at -1 and 1
    features = 0
    for plane, name in zip(planes.features[0], planes.plane_axes.split("_"), strict=True):
        place = scaled[:, ["xyz".index(letter) for letter in name]]
        picture = plane.permute(2, 0, 1)[None]
        features = features + F.grid_sample(picture, place[None, None], align_corners=False)[0, :, 0].T / 3
    answer = generator.decoder.net(features)
    return F.softplus(answer[:, 0] - 1), torch.sigmoid(answer[:, 1:4]) * 1.002 - 0.001

# %% [markdown]
# ## A pixel, by hand
#
# Along the ray, light is lost. With density $\sigma_i$ and spacing $\delta_i$, a fraction $\alpha_i = 1 -
# e^{-\sigma_i \delta_i}$ of what arrives is stopped in step $i$; what arrives is what all the steps before let
# through, the transmittance $T_i = \prod_{j<i} (1 - \alpha_j)$. Colour and depth are averages under the weights $T_i
# \alpha_i$.

# %%
pixel = (0.52, 0.55)
origin, direction = pixel_ray(*pixel)
depths = torch.linspace(near, far, 400)
density, colour = ask(origin + depths[:, None] * direction)
inside = ((origin + depths[:, None] * direction).abs() <= half).all(1)
alpha = 1 - torch.exp(-density * inside * (far - near) / 400)
transmittance = torch.cumprod(torch.cat([torch.ones(1), 1 - alpha[:-1]]), 0)
weights = transmittance * alpha
depth = (weights * depths).sum() / weights.sum()
print(f"by hand: opacity {weights.sum().item():.3f}, depth {depth.item():.3f}, "
      f"colour {(weights @ colour).numpy().round(2)}")

# %%
figure, axes = plt.subplots(3, 1, figsize=(6, 4), sharex=True, layout="constrained")
axes[0].fill_between(depths, density * inside, color="tab:blue", linewidth=0)
axes[0].set_ylabel("density")
axes[1].plot(depths, transmittance, color="tab:orange")
axes[1].set_ylabel("transmittance")
axes[2].fill_between(depths, weights, color="tab:green", linewidth=0)
axes[2].axvline(depth, color="black", linewidth=0.8)
axes[2].set(ylabel="weight", xlabel="distance from the camera, world units")
plt.show()

# %% [markdown]
# The nose is a wall: transmittance falls to nothing within a few hundredths of a world unit, and everything behind it
# (the whole head) has no weight. Now the library's renderer, which does this for every pixel with fewer, better
# placed samples:

# %%
view = generator.render(planes, ws, camera)
side = view.image_depth.shape[-1]
column, row = (int(part * side) for part in pixel)
rendered = (view.image_raw[0, :, row, column] + 1) / 2
print(f"rendered: opacity {view.opacity[0, 0, row, column].item():.3f}, "
      f"depth {view.image_depth[0, 0, row, column].item():.3f}, colour {rendered.numpy().round(2)}")

# %% [markdown]
# The same, up to the few samples that it takes. (`image_raw` is in [-1, 1]; behind a head that is not quite solid the
# model also paints a background.)
#
# ## Cutting the head open
#
# We can ask anywhere, and so look at cuts that no camera could see. The line is where the density is 10 per world
# unit: where half of the light is gone after 7 hundredths.

# %%
axis_points = torch.linspace(-half, half, 160)
v, u = torch.meshgrid(axis_points, axis_points, indexing="ij")
zero = torch.zeros_like(u)
cuts = {"zy": ("x = 0", (zero, v, u)), "xz": ("y = 0", (u, zero, v)), "xy": ("z = 0", (u, v, zero))}
figure, axes = plt.subplots(1, 3, figsize=(8.5, 3), layout="constrained")
for axis, (names, (title, coordinates)) in zip(axes, cuts.items(), strict=True):
    cut = ask(torch.stack(coordinates, -1).view(-1, 3))[0].view(160, 160)
    shown = axis.imshow(cut.clamp(max=60), origin="lower", cmap="magma", extent=(-half, half, -half, half))
    axis.contour(u, v, cut, levels=[10.0], colors="white", linewidths=0.8)
    axis.set(title=title, xlabel=names[0], ylabel=names[1])
figure.colorbar(shown, ax=axes, label="density", shrink=0.8)
plt.show()

# %% [markdown]
# **What to notice:** seen from the front this is a decent head; cut open it is not one at all. The inside is solid
# here and hollow there, and behind the face is no skull but ragged lumps. Nothing ever rewarded the model for the
# inside of heads, nor for their backs: no training camera looked there, so the planes hold whatever they like.
#
# ## Depth, normals, opacity
#
# Replace colour by distance in the average above, and the renderer gives depth; differences of depth give normals.

# %%
views = threedpsp.render_views(generator, [head], threedpsp.camera_path("swing", 4, camera, yaw_degrees=25)[1:2])
pictures = [views.image, views.depth[0, 0].numpy(), views.normals, views.opacity[0, 0].numpy()]
show_row(pictures, ["picture", "depth, near = white", "normals", "opacity"], height=1.9)

# %% [markdown]
# ## The mesh
#
# Marching cubes walks through the cube and lays triangles where the density crosses a level. The colours come from
# pictures rendered around the head. The top is flat because the mesh ends where a frontal picture does.

# %%
mesh = threedpsp.extract_mesh(generator, head, resolution=64)
corners = mesh.vertices[mesh.faces].numpy()[:, :, [0, 2, 1]] * [1, -1, 1]  # matplotlib's z is up
colours = mesh.colors[mesh.faces].mean(1).numpy()
normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
grey = np.repeat(np.clip(normals @ np.array([0.4, -0.8, 0.45]), 0.1, 1)[:, None], 3, 1)
print(f"{len(mesh.vertices)} vertices, {len(mesh.faces)} triangles")

# %%
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

figure = plt.figure(figsize=(8, 3), layout="constrained")
for number, (paint, azimuth) in enumerate([(grey, -90), (grey, -50), (colours, -50)], 1):
    axis = figure.add_subplot(1, 3, number, projection="3d")
    axis.add_collection3d(Poly3DCollection(corners, facecolors=paint, edgecolors=paint, linewidths=0.3))
    axis.set(xlim=(-0.3, 0.3), ylim=(-0.35, 0.25), zlim=(-0.3, 0.3), box_aspect=(1, 1, 1))
    axis.view_init(elev=5, azim=azimuth)
    axis.set_axis_off()
plt.show()

# %% [markdown]
# ## What does each row of the code decide?
#
# Take two people, and give one of them a single row of the other. Early rows feed coarse layers (a few pixels
# across), late rows feed fine ones.

# %%
other = threedpsp.random_head(generator, 3, truncation=0.9)
swaps = []
for row in range(config.num_ws):
    mixed = ws.clone()
    mixed[:, row] = other.latent.ws[:, row]
    swaps.append(dataclasses.replace(head, latent=dataclasses.replace(head.latent, ws=mixed), render=None))
everyone = [head, *swaps, other]
views = threedpsp.render_views(generator, everyone)
titles = ["this head", *(f"row {row} swapped" for row in range(config.num_ws)), "the other"]
show_row(views.image, titles, columns=5, height=1.5)

# %% [markdown]
# Eyes deceive; let us measure. How much does each row move the *picture*, and how much the *depth*?

# %%
image_change = (views.image[1:-1] - views.image[:1]).abs().mean((1, 2, 3))
solid = (views.opacity[:1] > 0.5).float()
depth_change = ((views.depth[1:-1] - views.depth[:1]).abs() * solid).mean((1, 2, 3))
figure, axis = plt.subplots(figsize=(6, 2.4), layout="constrained")
rows = np.arange(config.num_ws)
axis.bar(rows - 0.2, image_change / image_change.max(), 0.4, label="picture", color="tab:blue")
axis.bar(rows + 0.2, depth_change / depth_change.max(), 0.4, label="depth", color="tab:orange")
axis.set(xlabel="row of the code", ylabel="change (largest = 1)", xticks=rows)
axis.legend(frameon=False)
plt.show()

# %% [markdown]
# The rows that move depth most are the ones to touch for another *shape*: in `tiny` the first half. Its last row
# styles the layer that writes the planes, and moves the colours of everything. `threedpsp.blend(a, b, amount,
# what="shape")` uses just that, by halves. The published model has 14 rows; this notebook asks for their number and
# draws as many, and there the last one also styles the super-resolution, which has no depth at all.

# %% [markdown]
# ## Exercises
#
# 1. Render by hand a row of pixels, not one, with 20, 100 and 400 samples. Where do few samples go wrong?
# 2. Set two of the three planes to zero (`dataclasses.replace(planes, features=...)`) and render. Which plane alone
#    makes the best face, and from which angle does it fall apart?
# 3. Extract the mesh at levels 2, 10 and 40. Which one would you print in plastic?
# 4. Swap rows *cumulatively*: rows 0 to $k$. At which $k$ does the other person appear?
# 5. The cuts show an inside that no picture tests. Could a loss make it solid without changing a single picture?
#    Should it?
