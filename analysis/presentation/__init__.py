"""A report in words and pictures: one text for the page, the HTML file and the Markdown file. It computes no statistic."""
