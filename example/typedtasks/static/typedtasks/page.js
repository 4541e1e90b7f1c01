/** The page: choose a task, fill in its form, start it, watch it. */
import taskworks from '../taskworks/taskworks.js';
import { drawForm } from './form.js';

const [start, task, description, inputs, problem, watched, outputs] =
  ['start', 'task', 'description', 'inputs', 'problem', 'watched', 'outputs'].map((id) => document.getElementById(id));
const bar = document.querySelector('taskworks-progress');
let offered = [];
let form = null;

task.addEventListener('change', draw);
start.addEventListener('submit', begin);
bar.addEventListener('taskworks-finished', ({ detail }) => show(detail));
if (bar.current) show(bar.current);

try {
  offered = await taskworks.types();
  task.append(...offered.map(({ name }) => new Option(name, name)));
  draw();
  start.querySelector('button').disabled = false;
} catch (error) {
  showError(error);
}

function draw() {
  const chosen = offered.find(({ name }) => name === task.value);
  description.textContent = chosen.description;
  form = drawForm(inputs, chosen.inputs);
}

async function begin(submitted) {
  submitted.preventDefault();
  problem.hidden = true;
  form.showErrors({});
  try {
    const run = await taskworks.start(task.value, form.values());
    watch(run.id);
  } catch (error) {
    showError(error);
  }
}

// The element watches the run. The address has its id, so that it survives a reload.
function watch(id) {
  history.replaceState(null, '', `?${new URLSearchParams({ run: id })}`);
  outputs.hidden = true;
  watched.hidden = false;
  bar.setAttribute('run', id);
}

function show({ status, outputs: values }) {
  outputs.hidden = status !== 'succeeded';
  outputs.textContent = JSON.stringify(values, null, 2);
}

function showError(error) {
  const errors = error.body?.inputs;
  if (errors && !Array.isArray(errors)) form.showErrors(errors);
  else {
    problem.textContent = error.message;
    problem.hidden = false;
  }
}
