"""For notebooks: an interactive view of a head, and rows of pictures for a page. ipywidgets is loaded at first use."""

from .figures import show_row
from .head_views import HeadViews
from .viewer import viewer

__all__ = ["HeadViews", "show_row", "viewer"]
