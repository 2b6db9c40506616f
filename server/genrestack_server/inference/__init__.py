"""From checked rows to answers: admission, queue, batches, execution."""
