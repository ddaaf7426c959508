# %%
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

repository = Path("..")  # the folder with pyproject.toml; on Colab perhaps Path("/content/drive/MyDrive/threedpsp")
if "google.colab" in sys.modules:
    from google.colab import drive

    drive.mount("/content/drive")
if importlib.util.find_spec("threedpsp") is None:
    subprocess.run([sys.executable, "-m", "pip", "install", f"{repository.resolve()}[notebooks]"], check=True)
print(f"Python {sys.version.split()[0]}, {os.cpu_count()} processor cores")

# %% [markdown]
# The cell above only matters on a machine that does not have the package yet: it installs it from your copy of the
# repository. On Colab it asks for your Drive first, so that the copy, the photos and what you make can lie there. A
# GPU (Colab: *Runtime, Change runtime type*; or an A100 of your own) is used by itself where there is one. *Our tests
# run this notebook on a processor, offline, with the small embedded model; Colab and GPUs we have not run.*
