"""What goes by itself: schedules and sensors that ask for runs, and the sensor that tells people how they went."""
