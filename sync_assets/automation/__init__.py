"""What starts runs by itself: schedules."""
