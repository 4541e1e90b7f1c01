/** The page of a survey that is running: show the summary once the workflow has ended. */
document.addEventListener('taskworks-finished', () => location.reload());
