'use strict';
(() => {
  const status = document.getElementById('status');
  // The node's clock may differ from this one: ages are by the node's.
  let offset = Number(document.documentElement.dataset.now) - Date.now();
  let heard = Date.now();
  let lost = true;
  let stream = null;

  const two = (big, unit, small, smaller) => small === 0 ? big + unit : big + unit + small + smaller;
  const age = milliseconds => {
    const s = Math.max(0, Math.floor(milliseconds / 1000));
    const m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
    if (m < 2) return s + 's';
    if (m < 10) return two(m, 'm', s % 60, 's');
    if (h < 3) return m + 'm';
    if (h < 8) return two(h, 'h', m % 60, 'm');
    if (d < 2) return h + 'h';
    if (d < 8) return two(d, 'd', h % 24, 'h');
    return d < 730 ? d + 'd' : Math.floor(d / 365) + 'y';
  };

  const say = (text, state) => {
    if (status.textContent !== text) status.textContent = text;
    status.className = state;
  };

  const tick = () => {
    const now = Date.now() + offset;
    for (const time of document.querySelectorAll('time')) {
      const at = Date.parse(time.dateTime);
      const text = !time.classList.contains('due') ? age(now - at) : at > now ? 'in ' + age(at - now) : 'now';
      if (time.textContent !== text) time.textContent = text;
    }
    if (Date.now() - heard > 6500) lost = true;
    document.body.classList.toggle('stale', lost && Date.now() - heard > 3000);
    if (lost) say('Connection lost: this is ' + age(Date.now() - heard) + ' old. Trying again.', 'lost');
    else say('Live', 'live');
  };

  // Changes only what differs, so that focus, selection and what was opened stay.
  const morph = (from, to) => {
    if (from.nodeType !== Node.ELEMENT_NODE) {
      if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
      return;
    }
    for (const { name } of [...from.attributes]) if (!to.hasAttribute(name) && name !== 'open') from.removeAttribute(name);
    for (const { name, value } of to.attributes) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    let at = from.firstChild;
    for (const child of [...to.childNodes]) {
      const known = child.id && !(at && at.id === child.id) ? [...from.children].find(other => other.id === child.id) : at;
      if (known && known.nodeName === child.nodeName && (known.id || '') === (child.id || '')) {
        if (known !== at) from.insertBefore(known, at);
        morph(known, child);
        at = known.nextSibling;
      } else {
        from.insertBefore(child, at);
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  };

  const hear = event => {
    heard = Date.now();
    lost = false;
    offset = Number(event.lastEventId) - heard;
  };

  const show = event => {
    hear(event);
    const main = document.querySelector('main');
    morph(main, new DOMParser().parseFromString(event.data, 'text/html').querySelector('main'));
    document.title = main.dataset.title;
    tick();
  };

  const close = () => {
    if (stream) stream.close();
    stream = null;
  };

  const connect = () => {
    if (document.hidden || (stream && stream.readyState !== EventSource.CLOSED && Date.now() - heard < 10000)) return;
    close();
    stream = new EventSource('/events');
    stream.addEventListener('view', show);
    stream.addEventListener('still', event => { hear(event); tick(); });
    stream.addEventListener('error', () => { lost = true; });
  };

  document.addEventListener('visibilitychange', () => document.hidden ? close() : connect());
  document.title = document.querySelector('main').dataset.title;
  connect();
  setInterval(() => { tick(); }, 1000);
  setInterval(connect, 2000);
})();
