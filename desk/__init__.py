"""工作台 desk: the staff's web pages. Imports replies, knowledge and register."""
