"""Telling people by chat, SNS or e-mail what failed and what recovered."""
