// Takes the calls that are made before firsthand.js is there. In a file of its own, so that the pages' content security
// policy need not allow inline scripts.
window.firsthand ??= { q: [] };
for (const name of ["track", "page", "identify", "group", "alias", "reset", "consent", "ready"])
  firsthand[name] ??= (...call) => firsthand.q.push([name, call, Date.now()]);
