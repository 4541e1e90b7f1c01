/** A form that is made from the JSON Schema of a task's inputs. */

const TYPES = {
  date: 'date', 'date-time': 'datetime-local', time: 'time', email: 'email', uri: 'url', password: 'password',
};

/** Draw a field for each input; return {values(), showErrors(errors)}, which read and mark the fields. */
export function drawForm(place, schema) {
  const fields = Object.entries(schema.properties ?? {}).map(([name, property]) =>
    drawField(name, resolved(property, schema), (schema.required ?? []).includes(name)),
  );
  place.replaceChildren(...fields.map((field) => field.element));
  return {
    values: () => Object.fromEntries(fields.filter((field) => field.isGiven()).map((field) => [field.name, field.value()])),
    showErrors: (errors) => fields.forEach((field) => field.showErrors(errors[field.name])),
  };
}

function resolved(property, { $defs = {} }) {
  const given = property.$ref ?? property.allOf?.[0]?.$ref;
  const schema = given ? { ...$defs[given.split('/').at(-1)], ...property } : property;
  // A field that may be null is drawn without null; if it is empty, it is null.
  const other = schema.anyOf?.filter((one) => one.type !== 'null') ?? [];
  return other.length === 1 ? { ...schema, ...resolved(other[0], { $defs }) } : schema;
}

function drawField(name, schema, isRequired) {
  const input = drawInput(schema);
  Object.assign(input, { id: `input-${name}`, name, required: isRequired });
  const label = Object.assign(document.createElement('label'), { htmlFor: input.id, textContent: schema.title ?? name });
  const help = Object.assign(document.createElement('small'), { id: `help-${name}`, textContent: schema.description ?? '' });
  const problem = Object.assign(document.createElement('small'), { role: 'alert' });
  problem.setAttribute('role', 'alert');
  if (help.textContent) input.setAttribute('aria-describedby', help.id);
  const element = document.createElement('p');
  element.append(label, input, ...(help.textContent ? [help] : []), problem);
  return {
    name,
    element,
    isGiven: () => input.type === 'checkbox' || input.value !== '' || isRequired,
    value: () => valueOf(input, schema),
    showErrors: (errors) => {
      problem.textContent = (errors ?? []).join(' ');
      input.setAttribute('aria-invalid', Boolean(errors));
    },
  };
}

function drawInput(schema) {
  if (schema.enum) return drawChoice(schema);
  if (schema.type === 'boolean') return Object.assign(document.createElement('input'), { type: 'checkbox', checked: schema.default ?? false });
  if (isPlain(schema)) return drawLine(schema);
  const area = document.createElement('textarea');
  area.value = schema.default === undefined ? '' : JSON.stringify(schema.default, null, 1);
  return area;
}

function drawChoice(schema) {
  const labels = schema['x-labels'] ?? {};
  const select = document.createElement('select');
  select.append(...schema.enum.map((value) => new Option(labels[value] ?? value, value, value === schema.default, value === schema.default)));
  return select;
}

function drawLine(schema) {
  const input = document.createElement('input');
  input.type = isNumber(schema) ? 'number' : (TYPES[schema.format] ?? 'text');
  if (isNumber(schema)) {
    input.step = schema.type === 'integer' ? 1 : 'any';
    if (schema.minimum !== undefined) input.min = schema.minimum;
    if (schema.maximum !== undefined) input.max = schema.maximum;
  }
  if (schema.maxLength) input.maxLength = schema.maxLength;
  input.value = schema.default ?? '';
  return input;
}

function isNumber({ type }) {
  return type === 'integer' || type === 'number';
}

function isPlain(schema) {
  return isNumber(schema) || schema.type === 'string';
}

/** Invalid input is sent as it is, so that the server explains the error. */
function valueOf(input, schema) {
  if (input.type === 'checkbox') return input.checked;
  if (schema.enum) return schema.enum.find((value) => String(value) === input.value);
  if (input.value === '' && schema.type !== 'string') return null;
  if (isNumber(schema)) return Number(input.value);
  if (isPlain(schema)) return input.value;
  try {
    return JSON.parse(input.value);
  } catch {
    return input.value;
  }
}
