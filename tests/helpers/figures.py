"""What tests of figures measure on a drawn one."""


def boxes(texts):
    """The extents, in pixels, of all texts that are not empty."""
    return [text.get_window_extent() for text in texts if text.get_text()]
