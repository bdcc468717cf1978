"""Where photographs come from: folders, patterns, manifests and tar files, on this machine or in a store."""

from nimakit.sources.listing import Source, is_listed, open_source
from nimakit.sources.reading import Content, Entry, Reader

__all__ = ["Content", "Entry", "Reader", "Source", "is_listed", "open_source"]
