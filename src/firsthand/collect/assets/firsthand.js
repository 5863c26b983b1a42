// Firsthand in the page: see docs/browser.md
(() => {
  "use strict";
  const version = "0.1.0";
  const tag = document.currentScript || document.querySelector("[data-write-key]");
  const { writeKey, global: name = "firsthand", autoPage, debug } = tag.dataset;
  const endpoint = (tag.dataset.endpoint || new URL(".", tag.src).href).replace(/\/$/, "");
  const { fetch } = window; // before the page changes it
  const log = (...words) => debug !== undefined && console.warn("[firsthand]", ...words);
  const safe = (work) => (...args) => {
    try {
      return work(...args);
    } catch (error) {
      log(error);
    }
  };
  const listen = (types, work) => types.split(" ").forEach((type) => addEventListener(type, safe(work), true));
  const uuid = () =>
    "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (digit) =>
      (digit ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (digit / 4)))).toString(16),
    );

  const bytes = (text) => new Blob([text]).size;
  // pages change JSON
  const json = (value, budget = { left: 1e3 }) => {
    const inner = (item) => json(item, budget);
    if (typeof value === "string") {
      return `"${value.replace(/["\\\0-\x1f]/g, (sign) => `\\u00${(256 + sign.charCodeAt()).toString(16).slice(1)}`)}"`;
    }
    if (value && typeof value === "object") {
      if (!budget.left--) throw "too large or circular";
      if (Array.isArray(value)) return `[${value.map((item) => inner(item) || "null")}]`;
      if (value.toJSON) return inner(value.toJSON());
      const fields = Object.entries(value).map(([key, item]) => (item = inner(item)) && `${inner(key)}:${item}`);
      return `{${fields.filter(Boolean)}}`;
    }
    if (typeof value === "boolean" || Number.isFinite(value)) return `${value}`;
    if (value === null || typeof value === "number") return "null";
  };

  // consent
  const consent = {};
  let told = {};
  let watching;
  const cookie = (key) => document.cookie.match(`(?:^|; )${key}=([^;]*)`)?.[1];
  const answers = () => {
    const osano = safe(() => json(window.Osano?.cm.getConsent()))();
    const onetrust = cookie("OptanonConsent")?.match(/(groups|interactionCount|\w*Gpc\w*)=[^&]*/g)?.join("&");
    const token = cookie("didomi_token");
    const didomi = token && safe(atob)(token);
    const cmp = { onetrust, cookiebot: cookie("CookieConsent"), didomi, osano };
    const some = (found) => (Object.values(found).some(Boolean) ? { ...found } : undefined);
    return { consent: some(consent), cmp: some(cmp) };
  };
  const answered = ({ consent, cmp }) => consent?.tcf || consent?.categories || cmp;
  const allowed = () => {
    const { tcf, categories } = consent;
    if (tcf?.gdprApplies === false) return true;
    if (tcf?.tcString) return /^C.{24}[I-PY-fo-v4-9_-]/.test(tcf.tcString);
    const given = !tcf?.gdprApplies && (categories || answers().cmp);
    const text = decodeURIComponent(json(given)).replace(/\\u0022|"/g, "");
    return /C000[2-5]:1|purposes:{enabled:\[\w|(marketing|analytics|personalization|functional|statistics|preferences):(true|ACCEPT)/i.test(text);
  };
  const changed = (explicit) => {
    const [before, now] = [told, answers()];
    if (json(now) === json(before)) return;
    told = now;
    remember();
    if (answered(before) || (started && (explicit || answered(now)))) api.track("Consent Updated");
  };
  const look = safe(() => {
    const { __tcfapi, __uspapi } = window;
    if (navigator.globalPrivacyControl) consent.gpc = true;
    __uspapi?.("getUSPData", 1, safe((data) => (consent.usPrivacy = data.uspString)));
    if (__tcfapi && !watching) {
      watching = true;
      const heard = ({ gdprApplies, tcString, eventStatus, tcfPolicyVersion: policyVersion }) => {
        if (gdprApplies && !/loaded|complete/.test(eventStatus)) return;
        consent.tcf = { gdprApplies, tcString, policyVersion };
        changed();
      };
      __tcfapi("addEventListener", 2, safe(heard));
    }
    changed();
  });

  // storage
  const own = `fh_queue_${uuid()}`;
  let anonymousId = uuid();
  let saved;
  const remember = safe(() => {
    const may = allowed();
    if (!may && !answered(told)) return;
    for (const key of Object.keys(localStorage)) {
      if (!key.startsWith("fh_queue_") || (may && key === own)) continue;
      saved = may && queue.push(...localStorage[key].split("\n"));
      delete localStorage[key];
    }
    if (!may) return delete localStorage.fh_proposal;
    const kept = (localStorage.fh_proposal ||= anonymousId);
    if (!started) {
      queue = queue.map((event) => event.replace(anonymousId, kept));
      anonymousId = kept;
    }
    if (saved) wait();
    save();
  });
  const save = safe(() => {
    queue.sort();
    const must = (saved || failures || !navigator.onLine) && flying.length + queue.length && allowed();
    if (must) localStorage[own] = [...flying, ...queue].join("\n");
    else if (saved) delete localStorage[own];
    saved = must;
  });

  // sending
  let queue = [];
  let flying = [];
  let failures = 0;
  let credentials = "include";
  let started;
  let synced;
  let timer;
  const wait = (pause = 250) => {
    clearTimeout(timer);
    timer = setTimeout(flush, pause);
  };
  const post = (path, body) =>
    new Promise((resolve, reject) => {
      setTimeout(reject, 15e3, "no answer");
      if (failures % 2) {
        const request = new XMLHttpRequest();
        request.open("POST", endpoint + path);
        request.withCredentials = true;
        request.onloadend = () => resolve([request.status, request.responseText, request.getResponseHeader("retry-after")]);
        request.send(body);
      } else {
        fetch
          .call(window, endpoint + path, { method: "POST", body, credentials, keepalive: true })
          .then(async (answer) => resolve([answer.status, await answer.text(), answer.headers.get("retry-after")]))
          .catch(reject);
      }
    });
  const flush = safe((leaving) => {
    timer = clearTimeout(timer);
    if (!queue.length || (!leaving && (flying.length || !navigator.onLine))) return;
    if (!started) remember(); // another tab may have been first
    started = true;
    let [count, size, pause] = [0, 0, 0];
    while (count < queue.length && (size += bytes(queue[count])) < 3e4) count++;
    const batch = queue.splice(0, count || 1);
    flying.push(...batch);
    const common = json({ writeKey, sentAt: new Date().toISOString(), context: answers() });
    const body = `${common.slice(0, -1)},"batch":[${batch}]}`;
    if (leaving && failures) navigator.sendBeacon(`${endpoint}/v1/batch`, body);
    post("/v1/batch", body)
      .then(([status, text, retryAfter]) => {
        if (!/"success": ?true/.test(text) && /^(?!4)|408|429/.test(status)) {
          pause = retryAfter * 1e3;
          throw status;
        }
        failures = 0;
        if (/"code"/.test(text)) log("refused:", status, text);
      })
      .catch((reason) => {
        queue.unshift(...batch);
        pause = Math.max(pause, Math.min(6e4, 1e3 * 2 ** failures++) * (0.5 + Math.random() / 2));
        // another site's collector may take no cookies
        credentials = failures === 2 && !(reason > 0) ? "omit" : "include";
        log("not sent:", reason, pause);
      })
      .then(() => {
        flying = flying.filter((event) => !batch.includes(event));
        save();
        if (failures) wait(pause);
        else if (queue.length) flush();
        else sync();
      });
    if (leaving) flush(true);
  });

  // events
  let userId;
  let reset;
  let traits = {};
  let referrer = document.referrer;
  let seen;
  let moment;
  let last = 0;
  let campaign;
  for (const [key, value] of new URLSearchParams(location.search)) {
    const part = key.match(/^utm_(\w+)/)?.[1];
    if (part) campaign = { ...campaign, [part === "campaign" ? "name" : part]: value };
  }
  const add = (type, fields, { timestamp, messageId = uuid(), integrations, context } = {}) => {
    const { href: url, pathname: path, search } = location;
    last = Math.max(moment || Date.now(), last + 1);
    const common = { timestamp: new Date(timestamp || last).toISOString(), type, messageId, anonymousId, userId };
    const now = answers();
    const page = { url, path, referrer, title: document.title, search };
    const library = { name: "firsthand.js", version };
    const own = { library, page, campaign, reset, locale: navigator.language, ...(answered(now) && now) };
    const event = json({ ...common, ...fields, integrations, context: { ...own, ...context } });
    if (bytes(event) > 32e3) throw "over 32 kB";
    log(event);
    if (queue.push(event) > 1e3) log("dropped:", queue.shift());
    if (failures || !navigator.onLine) save();
    if (!timer) wait();
  };
  const arrived = () => {
    const { href } = location;
    const at = href.replace(/#(?![/!]).*/, "");
    if (seen?.at === at || document.prerendering) return;
    referrer = seen?.href || referrer;
    return (seen = { at, href });
  };
  const arrive = safe(() => autoPage !== "false" && arrived() && add("page", {}));
  const api = {
    track(event, properties, options) {
      arrive();
      add("track", { event, properties }, options);
    },
    page(name, properties, options) {
      if (name && typeof name === "object") [name, properties, options] = [undefined, name, properties];
      arrived();
      add("page", { name, properties }, options);
    },
    identify(id, more, options) {
      if (id && typeof id === "object") [id, more, options] = [userId, id, more];
      if (userId && id && id !== userId) traits = {};
      userId = id || userId;
      traits = { ...traits, ...more };
      add("identify", { traits }, options);
    },
    group(groupId, traits, options) {
      add("group", { groupId, traits }, options);
    },
    alias(id, previousId, options) {
      add("alias", { userId: id, previousId: previousId || userId || anonymousId }, options);
    },
    reset() {
      [userId, traits, anonymousId, reset] = [undefined, {}, uuid(), true];
      if (allowed()) localStorage.fh_proposal = anonymousId;
    },
    consent(given) {
      for (const [part, value] of Object.entries(given)) {
        consent[part] = typeof value === "object" ? { ...consent[part], ...value } : value;
      }
      changed(true);
    },
    ready(work) {
      work(api);
    },
  };

  // vendors' ids
  const sync = safe(() => {
    if (synced || !allowed()) return;
    synced = true;
    const now = answers();
    const common = { writeKey, anonymousId, consent: { ...now.consent, cmp: now.cmp } };
    const query = new URLSearchParams({ ...common, consent: json(common.consent) });
    const ask = ({ name, callerId, url }) => {
      const path = `/v1/sync/${name}`;
      const callback = "fh" + uuid().slice(0, 8);
      const script = document.createElement("script");
      const end = (status, id) => {
        clearTimeout(timer);
        window[callback] = () => {}; // late answers
        script.remove();
        if (status) post(path, json({ ...common, callerId, status, id })).catch(log);
      };
      const timer = setTimeout(end, 3e3, "unknown");
      window[callback] = safe(({ status, userid }) => {
        const fits = status === "OK" && typeof userid === "string" && /^[!-~]{1,256}$/.test(userid);
        end(fits || status === "OptOut" ? status : "unknown", fits ? userid : undefined);
      });
      // images may be let in where scripts are not
      script.onerror = () => {
        end();
        new Image().src = `${endpoint + path}?${query}&callerId=${callerId}`;
      };
      script.nonce = tag.nonce;
      script.src = url.replace("{callback}", callback);
      document.head.append(script);
    };
    fetch
      .call(window, `${endpoint}/v1/settings?${query}`, { credentials })
      .then(async (answer) => (await answer.json()).syncs.forEach(safe(ask)))
      .catch(log);
  });

  safe(() => {
    const stub = window[name]?.q ? window[name] : (window[name] = {});
    if (stub.version) return log("second script");
    const calls = stub.q || [];
    const run = safe(([method, args, at]) => {
      moment = at;
      api[method](...args);
      moment = 0;
    });
    for (const method in api) api[method] = safe(api[method]);
    Object.assign(stub, api, { version, q: { push: run } });
    look();
    calls.forEach(run);
    let arriving;
    const soon = (event) => {
      if (event?.persisted) seen = undefined;
      clearTimeout(arriving);
      arriving = setTimeout(arrive, 50);
    };
    soon();
    for (const method of ["pushState", "replaceState"]) {
      const original = history[method];
      history[method] = function (...args) {
        if (!seen) arrive();
        original.apply(this, args);
        soon();
      };
    }
    const leave = () => arrive() || flush(true);
    listen("popstate hashchange pageshow prerenderingchange", soon);
    listen("pagehide", leave);
    listen("visibilitychange", () => document.hidden && leave());
    listen("online", () => wait());
    listen("OneTrustGroupsUpdated CookiebotOnConsentReady CookiebotOnAccept CookiebotOnDecline", look);
    (window.didomiEventListeners ||= []).push({ event: "consent.changed", listener: look });
    setInterval(look, 3e3);
  })();
})();
