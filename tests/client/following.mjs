/** Follow a run with the client until it is over: `node following.mjs CLIENT BASE_URL RUN`. */
const [client, baseURL, run] = process.argv.slice(2);
const { default: taskworks } = await import(client);
const { status } = await taskworks.attach(run, { baseURL, corsMode: 'cors', pollInterval: 20 });
console.log(status);
