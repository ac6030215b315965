def write_figures(output):
    """x"""
