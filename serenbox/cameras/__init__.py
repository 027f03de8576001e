"""Where frames come from: one interface over every kind of camera.

`open_camera` in `select` opens what the settings name; `listing` finds the cameras there are.
"""
