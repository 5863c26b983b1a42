// Firsthand in the page: see docs/browser.md
(() => {
  "use strict";
  const version = "0.1.0";
  const library = { name: "firsthand.js", version };
  const tag = document.currentScript?.closest("[data-write-key]") || document.querySelector("[data-write-key]");
  if (!tag) return;
  const { writeKey, global: name = "firsthand", autoPage, debug } = tag.dataset;
  const endpoint = new URL(tag.dataset.endpoint || ".", tag.src || location).href.replace(/\/$/, "");
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
    "00000000-0000-4000-8000-000000000000".replace(/0/g, () =>
      (crypto.getRandomValues(new Uint8Array(1))[0] & 15).toString(16),
    );

  // pages change JSON
  const json = (value, budget = { left: 1e3 }) => {
    const inner = (item) => json(item, budget);
    if (typeof value === "string") {
      return `"${value.replace(/["\\\0-\x1f]/g, (sign) => `\\u00${(256 + sign.charCodeAt()).toString(16).slice(1)}`)}"`;
    }
    if (value && typeof value === "object") {
      if (!budget.left--) throw "circular";
      if (Array.isArray(value)) return `[${value.map((item) => inner(item) || "null")}]`;
      if (value.toJSON) return inner(value.toJSON());
      const fields = Object.entries(value).map(([key, item]) => (item = inner(item)) && `${inner(key)}:${item}`);
      return `{${fields.filter(Boolean)}}`;
    }
    if (value === null || /boolean|number/.test(typeof value)) return value - value === 0 ? `${value}` : "null";
  };

  // consent
  let consent = {};
  let told = {};
  let watching;
  const cookie = (key) => document.cookie.match(`(?:^|; )${key}=([^;]*)`)?.[1];
  const answers = () => {
    const osano = safe(() => json(window.Osano?.cm.getConsent()))();
    const onetrust = cookie("OptanonConsent")?.match(/(groups|interactionCount|\w*Gpc\w*)=[^&]*/g)?.join("&");
    const cmp = { onetrust, cookiebot: cookie("CookieConsent"), didomi: cookie("didomi_token"), osano };
    const some = (found) => (json(found) === "{}" ? undefined : { ...found });
    return { consent: some(consent), cmp: some(cmp) };
  };
  // the page may have changed its address by now
  const landing = new URL(performance.getEntriesByType("navigation")[0]?.name || "", location).search.replace(/.{2000,}/, "");
  const about = (more) => json({ writeKey, context: { library, landing, ...answers() }, ...more });
  const answered = ({ consent, cmp }) => consent?.tcf || consent?.categories || consent?.gpp || cmp;
  const changed = () => {
    const before = told;
    told = answers();
    if (json(told) === json(before)) return;
    remember();
    if (started || answered(before)) api.track("Consent Updated");
  };
  const look = safe(() => {
    const { __tcfapi, __uspapi, __gpp } = window;
    if (navigator.globalPrivacyControl) consent.gpc = true;
    __uspapi?.("getUSPData", 1, safe((data) => (consent.usPrivacy = data.uspString)));
    const heard = ({ signalStatus = "ready", gppString: gpp, applicableSections: gppSid }) =>
      signalStatus === "ready" && Object.assign(consent, { gpp, gppSid });
    __gpp?.("ping", safe(heard));
    if (__tcfapi && !watching) {
      watching = true;
      const heard = ({ gdprApplies, tcString, eventStatus, tcfPolicyVersion: policyVersion }) => {
        if (gdprApplies && !/loaded|complete/.test(eventStatus)) return;
        remember();
        consent.tcf = { gdprApplies, tcString, policyVersion };
        changed();
      };
      __tcfapi("addEventListener", 2, safe(heard));
    }
    changed();
  });

  // storage
  const queues = `fh_queue_${writeKey}_`;
  const mine = queues + uuid();
  let anonymousId = uuid();
  let agreed; // the answers of which the collector said yes
  let reset, kept, saved;
  const known = () => json([writeKey, answers()]);
  const state = () => anonymousId + known();
  const may = () => agreed === known();
  const adopt = (id) => {
    queue = queue.map((event) => event.replace(anonymousId, id));
    anonymousId = id;
  };
  const stored = () => localStorage.fh_proposal?.split("\n") || [];
  const store = (id) => {
    localStorage.fh_proposal = [id, agreed, reset].join("\n");
    kept = id;
  };
  const remember = safe(() => {
    const [id, answer, isReset] = stored();
    if (kept && kept !== id) {
      // in another tab: a reset, or a withdrawal
      if (id) [userId, traits, anonymousId, reset] = [undefined, {}, id, isReset];
      else [consent, told] = [{}, {}];
      kept = id;
    }
    agreed ??= answer;
    if (!may()) return;
    const proposal = kept || (!reset && id) || anonymousId;
    if (!kept && proposal === id) {
      reset = isReset;
      if (!started) adopt(id);
    }
    if (proposal !== kept || agreed !== answer) store(proposal);
    for (const key of Object.keys(localStorage)) {
      if (!key.startsWith(queues) || key === mine) continue;
      saved = queue.push(...localStorage[key].split("\n").filter((line) => /^\d+{.*}$/.test(line)));
      delete localStorage[key];
      wait();
    }
    save();
  });
  const heed = safe((asked, header, linked) => {
    remember();
    if (asked !== state()) return;
    const keep = header("keep");
    const id = header("id");
    const renewed = linked?.includes('"reset":"1"');
    if (renewed) reset = undefined;
    if (renewed && kept) store(kept);
    if (id && !reset && (linked || !started)) adopt(id);
    if (keep === "1") agreed = known();
    if (keep !== "0") return remember();
    agreed = kept = saved = undefined;
    for (const key of Object.keys(localStorage)) if (/^fh_(proposal|queue_)/.test(key)) delete localStorage[key];
  });
  const write = (events) => {
    try {
      localStorage[mine] = events.join("\n");
    } catch {
      if (events.shift()) write(events); // full
    }
  };
  const save = safe((leaving) => {
    queue.sort();
    const events = [...flying, ...queue];
    if (!events[0]) saved = saved && !delete localStorage[mine];
    else if ((saved || failures || leaving || !navigator.onLine) && may()) saved = !write(events);
  });

  // sending
  let queue = [];
  let flying = [];
  let failures = 0;
  let unread = 0;
  let most = 15;
  let met, meeting, started, synced, timer;
  const wait = (pause = 250) => {
    clearTimeout(timer);
    timer = setTimeout(flush, pause);
  };
  const send = (path, body, heard) => {
    const request = new XMLHttpRequest();
    request.open(body ? "POST" : "GET", endpoint + path);
    request.responseType = "json";
    request.timeout = 15e3;
    // another site may take none
    request.withCredentials = unread % 3 < 2 || endpoint.includes(location.hostname.split(".").slice(-2).join("."));
    const header = (name) => request.getAllResponseHeaders().match(`(?:x-firsthand|retry)-${name}: (.*)`)?.[1];
    request.onloadend = safe(() => heard?.(request.response || {}, request.status, header));
    request.send(body);
  };
  // who it is, tab by tab, before what they did
  const meet = () => {
    let asking;
    const ask = safe((done) => {
      remember();
      const asked = state();
      const began = performance.now();
      send("/v1/visitor", about({ anonymousId }), (_, status, header) => {
        heed(asked, header);
        meeting = done();
        // what other tabs have asked may still bring a cookie
        wait(agreed && 100 + 3 * (performance.now() - began));
      });
    });
    const go = () => (asking ??= new Promise(ask));
    met = known();
    meeting = setTimeout(go, 3e3);
    navigator.locks?.request("firsthand", go).catch(go) ?? go();
  };
  const pack = (batch) => {
    started = true;
    const common = about({ sentAt: new Date().toISOString() });
    return `${common.slice(0, -1)},"batch":[${batch.map((event) => event.replace(/^\d+/, ""))}]}`;
  };
  const flush = safe(() => {
    timer = clearTimeout(timer);
    if (!queue[0] || flying[0] || meeting || !navigator.onLine) return;
    remember();
    if (!agreed && !reset && met !== known()) return meet();
    const asked = state();
    const batch = (flying = queue.splice(0, most));
    const body = pack(batch);
    send("/v1/batch", body, ({ success, error, rejected }, status, header) => {
      flying = [];
      const broken = batch[1] && error?.code === "malformed_json";
      most = broken ? 1 : 15;
      if (broken || (!success && !/^4(?!08|29)/.test(status))) {
        queue.unshift(...batch);
        const least = Math.min(6e4, 1e3 * 2 ** failures++) * (0.5 + Math.random() / 2);
        const pause = Math.max(least, Math.min(36e5, header("after") * 1e3) || 0);
        unread += !status;
        log("not sent:", status, pause);
        wait(pause);
      } else {
        failures = unread = 0;
        if (error || rejected?.[0]) log("refused:", json(error || rejected));
        heed(asked, header, success && body);
        if (queue[0]) flush();
        else sync();
      }
      save();
    });
  });
  const leave = () => {
    look();
    arrive();
    const events = [...flying, ...queue];
    while (events[0]) if (!navigator.sendBeacon?.(`${endpoint}/v1/batch`, pack(events.splice(0, most)))) return save(true);
  };

  // events
  let userId;
  let traits = {};
  let referrer = document.referrer;
  let last = 0;
  let seen, moment, campaign;
  for (const [key, value] of new URLSearchParams(landing)) {
    const part = key.match(/^utm_(\w+)/)?.[1];
    if (part) campaign = { ...campaign, [part === "campaign" ? "name" : part]: value };
  }
  const add = (type, fields, { timestamp, messageId = uuid(), integrations, context } = {}) => {
    remember();
    const { href: url, pathname: path, search } = location;
    last = Math.max(moment || Date.now(), last + 1);
    const now = answers();
    const page = { url, path, referrer, title: document.title, search };
    const event = json({
      timestamp: new Date(timestamp || last).toISOString(),
      type, messageId, anonymousId, userId, integrations, ...fields,
      context: { page, campaign, locale: navigator.language, reset, ...(answered(now) && now), ...context },
    });
    if (new Blob([event, about()]).size > 32768) throw "over 32 kB";
    log(event);
    if (queue.push(last + event) > 1e3) log("dropped:", queue.shift());
    save();
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
      [userId, traits, anonymousId, reset, kept] = [undefined, {}, uuid(), "1"];
      remember();
    },
    consent(given) {
      for (const [part, value] of Object.entries(given)) {
        consent[part] = typeof value === "object" ? { ...consent[part], ...value } : value;
      }
      changed();
    },
    ready(work) {
      work(api);
    },
  };

  // vendors' ids
  const sync = safe(() => {
    if (synced || !may()) return;
    synced = true;
    const began = state();
    const still = () => remember() || (may() && began === state());
    const common = { writeKey, anonymousId, consent: { ...told.consent, cmp: told.cmp } };
    const query = new URLSearchParams({ ...common, consent: json(common.consent) });
    const ask = ({ name, callerId, url }) => {
      const path = `/v1/sync/${name}`;
      const callback = "fh" + uuid().slice(0, 8);
      const script = document.createElement("script");
      const end = () => {
        clearTimeout(timer);
        window[callback] = () => {};
        script.remove();
      };
      const report = (status, id) => {
        end();
        if (still()) send(path, json({ ...common, callerId, status, id }));
      };
      const timer = setTimeout(safe(report), 3e3, "unknown");
      window[callback] = safe(({ status, userid }) => {
        const fits = status === "OK" && typeof userid === "string" && /^[!-~]{1,256}$/.test(userid);
        report(fits || status === "OptOut" ? status : "unknown", fits ? userid : undefined);
      });
      // where no scripts are let in
      script.onerror = safe(() => {
        end();
        if (still()) new Image().src = `${endpoint + path}?${query}&callerId=${callerId}`;
      });
      script.nonce = tag.nonce;
      try {
        script.src = url.replace("{callback}", callback);
        document.head.append(script);
      } catch {
        script.onerror();
      }
    };
    send(`/v1/settings?${query}`, "", ({ syncs }) => still() && syncs.forEach(safe(ask)));
  });

  safe(() => {
    const stub = window[name]?.q ? window[name] : (window[name] = {});
    if (stub.version) return;
    const calls = stub.q || [];
    const run = safe(([method, args, at]) => {
      moment = at;
      api[method](...args);
      moment = 0;
    });
    for (const method in api) {
      const call = api[method];
      api[method] = safe((...args) => remember() || call(...args));
    }
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
    listen("popstate hashchange pageshow prerenderingchange", soon);
    listen("pagehide visibilitychange", leave);
    listen("online", flush);
    setInterval(look, 1e3);
  })();
})();
