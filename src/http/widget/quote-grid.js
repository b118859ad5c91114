// <quote-grid>: a made-to-measure product on a shop's page. It asks a quotegrid server for prices and places orders there.
//
//   <script type="module" src="https://quotes.example.com/widget/v1.js"></script>
//   <quote-grid product="1001" key="pm_…"></quote-grid>
//
// Everything is built node by node, so nothing that a shop or a server calls something can become markup. The server puts the
// texts of all languages in the place of TEXTS (their names, and a list in that order for each language), leaves out the lines that
// hold only a comment, and shortens private names and constants (mod.rs).

const TEXTS = {/* texts */};

// A pause in typing after which the price is asked for, in milliseconds.
const PAUSE = 250;
// How often an answer that says "later" is waited for before it counts as a failure.
const RETRIES = 4;
// Seconds to wait where such an answer does not say how long, and the most that a shopper is made to wait: what takes longer is told at
// once, and never tried before its time.
const RETRY_AFTER = 2;
const RETRY_AFTER_MAX = 60;
// What an order takes.
const ITEMS_MAX = 100;
const LABEL_MAX = 60;
const QUANTITY_MAX = 10000;
// Units in millimetres, and the steps to which limits are rounded for people.
const MILLIMETRES = { mm: 1, cm: 10, m: 1000, in: 25.4 };
const ROUNDING = { mm: 1, cm: 0.1, m: 0.001, in: 0.125 };

const STYLE = new CSSStyleSheet();
STYLE.replaceSync(`
:host { display: block; color: var(--qg-color, inherit); font: var(--qg-font, inherit); --accent: var(--qg-accent, #14532d); --error: var(--qg-error, light-dark(#b3261e, #ff8a80)); }
* { box-sizing: border-box; }
form { display: grid; gap: var(--qg-gap, 1rem); max-width: var(--qg-width, 32rem); }
.sizes { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(9rem, 100%), 1fr)); }
label, legend { display: block; margin-block-end: .25rem; font-weight: 600; }
.field { min-width: 0; }
.box { display: flex; align-items: center; gap: .5rem; }
input, select, button { font: inherit; min-height: 2.75rem; border-radius: var(--qg-radius, .35rem); max-width: 100%; }
input, select { width: 100%; padding: .4rem .6rem; color: inherit; background: var(--qg-field, transparent); border: 1px solid var(--qg-border, #767676); }
option { color: initial; }
[aria-invalid=true] { border-color: var(--error); border-width: 2px; }
.hint, .note, .tax { font-size: .875em; opacity: .85; }
.hint, .fault { margin: .25rem 0 0; }
.fault, .problem { color: var(--error); }
.fault:empty, .problem:empty, .note:empty, .hint:empty { display: none; }
p { margin: 0; overflow-wrap: anywhere; }
.drawing { display: block; width: 100%; height: 11rem; overflow: visible; }
.drawing rect { fill: var(--qg-fill, #80808026); stroke: currentColor; stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.drawing text { fill: currentColor; font-size: 13px; }
.price { min-height: 4.5rem; }
.amount { font-size: 1.5em; font-weight: 700; font-variant-numeric: tabular-nums; }
[aria-busy=true] .amount { opacity: .45; }
table { width: 100%; border-collapse: collapse; font-size: .9em; font-variant-numeric: tabular-nums; }
th { font-weight: 400; text-align: start; padding: .15rem 0; overflow-wrap: anywhere; }
td { text-align: end; white-space: nowrap; padding: .15rem 0 .15rem 1rem; vertical-align: top; }
button { padding: .5rem 1rem; cursor: pointer; color: inherit; background: transparent; border: 1px solid currentColor; }
button.main { width: 100%; color: var(--qg-on-accent, #fff); background: var(--accent); border-color: var(--accent); font-weight: 600; }
button:disabled { opacity: .55; cursor: default; }
:focus-visible { outline: 3px solid var(--qg-focus, #2e8b57); outline-offset: 2px; }
ol { list-style: none; margin: 0; padding: 0; }
li { overflow-wrap: anywhere; display: grid; grid-template-columns: 1fr auto auto; gap: .25rem 1rem; align-items: center; padding: .5rem 0; border-block-start: 1px solid var(--qg-border, #76767655); }
.sum { display: flex; justify-content: space-between; gap: 1rem; font-weight: 700; padding-block: .5rem; border-block-start: 2px solid; }
`);

// An element with attributes, listeners ("onclick": …) and children; what is null is left out.
function make(name, attributes = {}, ...children) {
  const svg = ['svg', 'rect', 'text'].includes(name);
  const element = svg ? document.createElementNS('http://www.w3.org/2000/svg', name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null));
  return element;
}

// "47,5", "47.5", and in inches "47 3/8" and "47⅜": a number with at most six decimals, or NaN. The field's own unit may stand
// behind it; another one is a mistake, and not for us to guess at.
function readNumber(text, unit) {
  let plain = text.trim().replace(unit === 'in' ? /\s*(in|["″])$/i : new RegExp(`\\s*${unit}$`, 'i'), '');
  if (unit === 'in') {
    // "⅜" stands for "3⁄8", with a slash of its own.
    plain = plain.replace(/[¼-¾⅐-⅞]/, ' $&').normalize('NFKD').replace('⁄', '/').trim();
    const parts = plain.match(/^(?:(\d+)[\s-]+)?(\d{1,3})\s*\/\s*(\d{1,3})$/);
    if (parts && Number(parts[3]) > 0) {
      return Math.round((Number(parts[1] ?? 0) + Number(parts[2]) / Number(parts[3])) * 1e6) / 1e6;
    }
  }
  return /^\d{1,9}([.,]\d{1,6})?$/.test(plain) ? Number(plain.replace(',', '.')) : NaN;
}

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

// Resolves after some seconds, or at once when the signal says so.
function sleep(seconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}

class Failure extends Error {
  constructor(status, problem) {
    super(problem.detail ?? '');
    this.status = status;
    this.problem = problem;
    this.code = problem.code ?? (status === 0 ? 'offline' : `http_${status}`);
  }
}

class QuoteGrid extends HTMLElement {
  static observedAttributes = ['product', 'key', 'api', 'proxy', 'lang', 'unit', 'cart'];

  #root = this.attachShadow({ mode: 'open' });
  #life = null;
  #asking = null;
  #timer = 0;
  #queued = false;
  #product = null;
  #quote = null;
  #items = [];
  #orderKey = null;
  #parts = {};
  // What was filled in, and for what: an element that is moved on its page keeps it.
  #filled = {};
  #filledFor = '';
  #texts = TEXTS.en;
  #tag = 'en';

  constructor() {
    super();
    this.#root.adoptedStyleSheets = [STYLE];
  }

  connectedCallback() { this.#restart(); }

  disconnectedCallback() {
    this.#life?.abort();
    this.#asking?.abort();
    clearTimeout(this.#timer);
  }

  attributeChangedCallback(_name, before, after) {
    if (before !== after && this.isConnected) this.#restart();
  }

  // Attributes are set one by one: what they come to is read once, after the last of them.
  #restart() {
    if (this.#queued) return;
    this.#queued = true;
    queueMicrotask(() => {
      this.#queued = false;
      if (this.isConnected) this.#start();
    });
  }

  async #start() {
    this.disconnectedCallback();
    this.#life = new AbortController();
    const { signal } = this.#life;
    this.#quote = null;
    this.#language();
    this.#keep();
    // Back from the checkout, the page may be shown as it was left: waiting for its order.
    addEventListener('pageshow', (event) => { if (event.persisted) this.#start(); }, { signal });
    this.#parts = { lang: this.#parts.lang };
    this.#parts.status = make('p', { role: 'status', class: 'note', part: 'status' }, this.#say('loading'));
    this.#root.replaceChildren(this.#parts.status);
    try {
      const path = this.#path(this.getAttribute('product') ?? '');
      const product = await this.#call(path, {}, signal);
      if (signal.aborted) return;
      this.#product = product;
      this.#build();
    } catch (failure) {
      if (signal.aborted) return;
      const again = make('button', { type: 'button', onclick: () => this.#start() }, this.#say('again'));
      this.#root.replaceChildren(
        make('p', { role: 'alert', class: 'problem', part: 'error' }, this.#words(failure)),
        failure.status === 404 || failure.status === 401 ? '' : again,
      );
      this.#tell('error', { code: failure.code, status: failure.status });
    }
  }

  // Takes note of what is filled in, unless it is for another product or in another unit now.
  #keep() {
    for (const [id, { input }] of Object.entries(this.#parts)) if (input) this.#filled[id] = input.value;
    const names = ['product', 'unit', 'proxy', 'api', 'cart'];
    const now = names.map((name) => this.getAttribute(name)).join('\n');
    if (this.#filledFor !== now) {
      this.#filled = {};
      this.#items = [];
    }
    this.#filledFor = now;
  }

  // Words and figures ------------------------------------------------------------------------------------------------

  #language() {
    const wanted = this.getAttribute('lang') || this.closest('[lang]')?.lang || navigator.language || 'en';
    const short = wanted.slice(0, 2).toLowerCase();
    const lang = Object.hasOwn(TEXTS, short) ? short : 'en';
    this.#texts = TEXTS[lang];
    this.#parts.lang = lang;
    // "de-CH" writes its figures otherwise than "de"; what is not a language tag does not.
    this.#tag = lang;
    try { if (lang === short) [this.#tag] = Intl.getCanonicalLocales(wanted); } catch { /* as it is */ }
  }

  #say(name, ...values) {
    return this.#texts[TEXTS.names.indexOf(name)].replace(/\{(\d)\}/g, (_, at) => values[Number(at)]);
  }

  #number(value) {
    return new Intl.NumberFormat(this.#tag, { maximumFractionDigits: 3 }).format(value);
  }

  #money(amount, signed = false) {
    const signDisplay = signed ? 'exceptZero' : 'auto';
    return new Intl.NumberFormat(this.#tag, { style: 'currency', currency: this.#product.currency, signDisplay }).format(amount);
  }

  // A length as a field takes it: with the language's decimal sign, and its digits not in groups, for "1.800" is read as 1.8.
  #length(value, digits = 3) {
    return new Intl.NumberFormat(this.#tag, { maximumFractionDigits: digits, useGrouping: false, numberingSystem: 'latn' }).format(value);
  }

  #size(width, height) {
    return `${this.#length(width)} × ${this.#length(height)} ${this.#unit}`;
  }

  get #unit() {
    const unit = this.getAttribute('unit');
    return Object.hasOwn(MILLIMETRES, unit) ? unit : this.#product.unit;
  }

  get #inList() { return this.getAttribute('cart') === 'list'; }

  // A length of the store's, in what the shopper types.
  #shown(length) { return (length * MILLIMETRES[this.#product.unit]) / MILLIMETRES[this.#unit]; }

  #limits(axis) {
    const range = this.#product.dimensionRange;
    const step = this.#unit === this.#product.unit ? 0.001 : ROUNDING[this.#unit];
    const exact = (value) => Number(value.toFixed(3));
    return {
      min: exact(Math.ceil(this.#shown(range[`min${axis}`]) / step - 1e-6) * step),
      max: exact(Math.floor(this.#shown(range[`max${axis}`]) / step + 1e-6) * step),
    };
  }

  #words(failure) {
    const { status, code } = failure;
    if (status === 0) return this.#say('offline');
    if ([401, 403, 404].includes(status) || code === 'not_priced_yet') return this.#say('noPrices');
    if (status === 422 && code !== 'price_too_large') return this.#say('notOffered');
    // The server words what is wrong with a request in the language that it was asked in. What has no id is not from there, but from
    // something before it, and not for shoppers.
    return failure.problem.requestId ? failure.message : this.#say('failed');
  }

  // The server -------------------------------------------------------------------------------------------------------

  #address(path) {
    const proxy = this.getAttribute('proxy');
    if (proxy) return new URL(proxy.replace(/\/+$/, '') + path, location.origin);
    const base = this.getAttribute('api') || new URL('..', import.meta.url).href;
    return new URL(base.replace(/\/+$/, '') + '/api/v1' + path);
  }

  async #call(path, { query = {}, body, key } = {}, signal) {
    const url = this.#address(path);
    for (const [name, value] of Object.entries({ ...query, lang: this.#parts.lang })) url.searchParams.set(name, value);
    const headers = {};
    if (this.getAttribute('key') && !this.getAttribute('proxy')) headers['X-API-Key'] = this.getAttribute('key');
    if (key) headers['Idempotency-Key'] = key;
    if (body) headers['Content-Type'] = 'application/json';
    for (let left = RETRIES; ; left -= 1) {
      let answer;
      try {
        answer = await fetch(url, {
          method: body ? 'POST' : 'GET', headers, body: body && JSON.stringify(body), signal,
          // A shop that is not open yet lets nobody in without its own cookie, to its own paths.
          credentials: this.hasAttribute('proxy') ? 'same-origin' : 'omit',
        });
      } catch (fault) {
        throw signal?.aborted ? fault : new Failure(0, {});
      }
      const said = await answer.json().catch(() => ({}));
      if (answer.ok) return said;
      const failure = new Failure(answer.status, said);
      const seconds = Number(answer.headers.get('Retry-After')) || RETRY_AFTER;
      if ((answer.status !== 429 && answer.status !== 503) || left === 0 || seconds > RETRY_AFTER_MAX) throw failure;
      const { status } = this.#parts;
      const wait = this.#say('wait', this.#number(seconds));
      status.textContent = wait;
      await sleep(seconds, signal);
      if (status.textContent === wait) status.textContent = '';
      if (signal?.aborted) throw failure;
    }
  }

  // Shopify's proxy may take a product id with slashes for something else: the digits say it all.
  #path(product) { return `/products/${encodeURIComponent(product.replace(/^gid:\/\/shopify\/Product\//, ''))}`; }

  #tell(name, detail, cancelable = false) {
    return this.dispatchEvent(new CustomEvent(`quotegrid:${name}`, { detail, bubbles: true, composed: true, cancelable }));
  }

  // The form ---------------------------------------------------------------------------------------------------------

  #build() {
    const product = this.#product;
    const { dimensionRange: range } = product;
    if (!(range.maxWidth > 0 && range.maxHeight > 0)) {
      this.#root.replaceChildren(make('p', { role: 'alert', class: 'note', part: 'error' }, this.#say('noPrices')));
      return;
    }
    const ask = () => this.#askSoon();
    const field = (id, label, input, hint = '') => {
      const fault = make('p', { class: 'fault', id: `${id}-fault`, part: 'fault' });
      input.setAttribute('id', id);
      input.setAttribute('aria-describedby', `${id}-hint ${id}-fault`);
      this.#parts[id] = { input, fault };
      return make('div', { class: 'field', part: 'field' },
        make('label', { for: id, part: 'label' }, label),
        input,
        make('p', { class: 'hint', id: `${id}-hint`, part: 'hint' }, hint),
        fault);
    };
    const size = (id, axis) => {
      const { min, max } = this.#limits(axis);
      const decimal = this.#unit === 'in' ? 'text' : 'decimal';
      const input = make('input', { inputmode: decimal, autocomplete: 'off', required: true, part: 'input', oninput: ask });
      const hint = this.#say('range', this.#length(min), this.#length(max), this.#unit);
      return field(id, `${this.#say(id)} (${this.#unit})`, input, hint);
    };
    const group = ({ id, name, requirement, choices }, at) => {
      const isRequired = requirement === 'REQUIRED';
      const chosen = choices.some((choice) => choice.isDefault);
      const empty = make('option', { value: '', selected: !chosen }, this.#say(isRequired ? 'choose' : 'without'));
      const select = make('select', { required: isRequired, part: 'input', onchange: ask, 'data-group': id },
        isRequired && chosen ? null : empty,
        choices.map((choice) => make('option', { value: choice.id, selected: choice.isDefault },
          `${choice.label}${this.#surcharge(choice)}`)));
      return field(`group-${at}`, name, select);
    };
    const quantity = make('input',
      { type: 'number', min: 1, max: QUANTITY_MAX, step: 1, value: 1, required: true, part: 'input', oninput: ask });
    const label = make('input', { maxlength: LABEL_MAX, autocomplete: 'off', part: 'input' });
    this.#parts.price = make('div', { class: 'price', part: 'price', role: 'status', 'aria-live': 'polite' });
    this.#parts.drawing = make('div', { part: 'drawing', 'aria-hidden': 'true' });
    this.#parts.status = make('p', { class: 'note', role: 'status', part: 'status' });
    this.#parts.problem = make('div', { class: 'problem', role: 'alert', part: 'error' });
    this.#parts.list = make('div', { part: 'list' });
    this.#parts.main = make('button', { class: 'main', part: 'button' }, this.#say(this.#inList ? 'add' : 'order'));
    // All of its languages run from left to right, on whatever page: "1 × 450 × 350 mm" must not be turned round.
    const form = make('form', { novalidate: true, part: 'form', lang: this.#parts.lang, dir: 'ltr', onsubmit: (event) => this.#submit(event) },
      make('div', { class: 'sizes', role: 'group', 'aria-label': product.title }, size('width', 'Width'), size('height', 'Height')),
      product.optionGroups.map(group),
      field('quantity', this.#say('quantity'), quantity),
      this.#inList ? field('label', this.#say('label'), label, this.#say('labelHint')) : null,
      this.#parts.drawing, this.#parts.price, this.#parts.problem, this.#parts.status, this.#parts.main, this.#parts.list);
    for (const [id, value] of Object.entries(this.#filled)) if (this.#parts[id]?.input) this.#refill(this.#parts[id].input, value);
    this.#root.replaceChildren(form);
    this.#showList();
    if (this.#parts.width.input.value) this.#ask();
  }

  // A choice that is not offered any more is not one to go back to.
  #refill(input, value) {
    if (input.localName !== 'select' || [...input.options].some((option) => option.value === value)) input.value = value;
  }

  #surcharge(choice) {
    if (choice.modifierType === 'PERCENTAGE') {
      const share = choice.modifierValue / 10000;
      const percent = new Intl.NumberFormat(this.#tag, { style: 'percent', maximumFractionDigits: 2, signDisplay: 'always' });
      return share === 0 ? '' : ` (${percent.format(share)})`;
    }
    const amount = Number(choice.amount);
    return amount ? ` (${this.#money(amount, true)})` : '';
  }

  #fault(id, text) {
    const { input, fault } = this.#parts[id];
    if (fault.textContent !== text) fault.textContent = text;
    if (text) input.setAttribute('aria-invalid', 'true'); else input.removeAttribute('aria-invalid');
    return text === '';
  }

  // What the shopper has filled in, as an item of an order; null where something is missing or wrong. `strict` says so too where
  // a field is still empty.
  #read(strict) {
    let sound = true;
    const item = { productId: this.#product.productId };
    for (const [id, axis] of [['width', 'Width'], ['height', 'Height']]) {
      const { value } = this.#parts[id].input;
      const { min, max } = this.#limits(axis);
      const number = readNumber(value, this.#unit);
      let fault = '';
      if (value.trim() === '') fault = strict ? this.#say('needed') : ' ';
      else if (Number.isNaN(number)) fault = this.#say('notANumber', this.#unit === 'in' ? '47 3/8' : this.#length(47.5));
      else if (number < min) fault = this.#say('atLeast', this.#length(min), this.#unit);
      else if (number > max) fault = this.#say('atMost', this.#length(max), this.#unit);
      sound = fault === '' && sound;
      this.#fault(id, fault.trim());
      item[id] = number;
    }
    const quantity = Number(this.#parts.quantity.input.value);
    const whole = Number.isInteger(quantity) && quantity >= 1 && quantity <= QUANTITY_MAX;
    sound = this.#fault('quantity', whole ? '' : this.#say('wholeNumber', this.#number(QUANTITY_MAX))) && sound;
    item.quantity = quantity;
    item.options = [];
    this.#product.optionGroups.forEach(({ id, requirement }, at) => {
      const choice = this.#parts[`group-${at}`].input.value;
      const missing = strict && choice === '' && requirement === 'REQUIRED';
      sound = this.#fault(`group-${at}`, missing ? this.#say('choose') : '') && sound;
      if (choice) item.options.push({ optionGroupId: id, choiceId: choice });
    });
    const label = this.#parts.label?.input.value.trim();
    if (this.#inList && label) item.label = label;
    return sound ? item : null;
  }

  // The price --------------------------------------------------------------------------------------------------------

  #askSoon() {
    clearTimeout(this.#timer);
    // The order that follows is another one; a list is ordered as it is.
    if (!this.#inList) this.#orderKey = null;
    this.#timer = setTimeout(() => this.#ask(), PAUSE);
  }

  async #ask() {
    this.#asking?.abort();
    this.#quote = null;
    const item = this.#read(false);
    this.#parts.problem.replaceChildren();
    this.#draw(item);
    if (!item) return this.#showPrice(null);
    const asking = new AbortController();
    this.#asking = asking;
    this.#parts.price.setAttribute('aria-busy', 'true');
    const query = { width: item.width, height: item.height, quantity: item.quantity, unit: this.#unit };
    if (item.options.length > 0) query.options = JSON.stringify({ selections: item.options });
    try {
      const quote = await this.#call(`${this.#path(item.productId)}/price`, { query }, asking.signal);
      if (asking.signal.aborted) return;
      this.#quote = quote;
      this.#showPrice(quote, item);
      const { price, total, currency, quantity } = quote;
      const { width, height, productId } = item;
      this.#tell('price', { productId, width, height, unit: this.#unit, quantity, price, total, currency });
    } catch (failure) {
      if (asking.signal.aborted) return;
      this.#showPrice(null);
      this.#showFailure(failure, () => this.#ask());
    } finally {
      if (this.#asking === asking) this.#parts.price.removeAttribute('aria-busy');
    }
  }

  #showPrice(quote, item) {
    if (!quote) return this.#parts.price.replaceChildren();
    const row = (name, amount) => make('tr', {}, make('th', { scope: 'row' }, name), make('td', {}, amount));
    const rows = [];
    if (quote.optionModifiers?.length) {
      rows.push(row(this.#say('base'), this.#money(quote.basePrice)));
      for (const { optionGroup, choice, appliedAmount } of quote.optionModifiers) {
        rows.push(row(`${optionGroup}: ${choice}`, this.#money(appliedAmount, true)));
      }
    }
    if (quote.quantity > 1) rows.push(row(this.#say('each', this.#number(quote.quantity)), this.#money(quote.price)));
    const tax = { incl: 'taxIncluded', excl: 'taxExcluded' }[this.#product.taxLabel];
    const priced = this.#pricedAs(item);
    this.#parts.price.replaceChildren(
      make('p', {},
        make('span', { class: 'amount', part: 'amount' }, this.#money(quote.total)), ' ',
        make('span', { class: 'tax', part: 'tax' }, tax ? this.#say(tax) : '')),
      rows.length ? make('table', { part: 'breakdown' }, make('tbody', {}, rows)) : '',
      make('p', { class: 'note', part: 'note' }, priced ? this.#say('pricedAs', priced) : ''));
  }

  // The grid's step that prices a size, where it is another one than the size.
  #pricedAs(item) {
    const step = (length, steps) => {
      const asked = (length * MILLIMETRES[this.#unit]) / MILLIMETRES[this.#product.unit];
      return this.#shown(steps.find((value) => value >= asked - 0.0005) ?? steps.at(-1));
    };
    const { widths, heights } = this.#product.steps;
    if (!widths.length || !heights.length) return '';
    const [width, height] = [step(item.width, widths), step(item.height, heights)];
    const differs = Math.abs(width - item.width) > 0.0005 || Math.abs(height - item.height) > 0.0005;
    return differs ? this.#size(width, height) : '';
  }

  #draw(item) {
    if (!item) return this.#parts.drawing.replaceChildren();
    const scale = 120 / Math.max(item.width, item.height);
    const [width, height] = [Math.max(item.width * scale, 2), Math.max(item.height * scale, 2)];
    const picture = make('svg', { class: 'drawing', viewBox: `-75 -5 ${width + 150} ${height + 35}` },
      make('rect', { x: 0, y: 0, width, height }),
      make('text', { x: width / 2, y: height + 20, 'text-anchor': 'middle' }, `${this.#length(item.width)} ${this.#unit}`),
      make('text', { x: width + 8, y: height / 2, 'dominant-baseline': 'middle' }, `${this.#length(item.height)} ${this.#unit}`));
    this.#parts.drawing.replaceChildren(picture);
  }

  #showFailure(failure, again) {
    const parts = [make('p', {}, this.#words(failure))];
    const { nearest } = failure.problem;
    if (nearest) {
      const use = () => {
        this.#parts.width.input.value = this.#length(nearest.width, 6);
        this.#parts.height.input.value = this.#length(nearest.height, 6);
        this.#parts.width.input.focus();
        this.#ask();
      };
      parts.push(make('button', { type: 'button', part: 'nearest', onclick: use },
        this.#say('useNearest', this.#size(nearest.width, nearest.height))));
    } else if (failure.status !== 422) {
      // Options that have changed are loaded again, and what is filled in stays.
      const reload = failure.status === 400 || failure.status === 404;
      parts.push(make('button', { type: 'button', part: 'again', onclick: reload ? () => this.#start() : again }, this.#say('again')));
    }
    this.#parts.problem.replaceChildren(...parts);
    this.#tell('error', { code: failure.code, status: failure.status });
  }

  // Orders -----------------------------------------------------------------------------------------------------------

  #submit(event) {
    event.preventDefault();
    clearTimeout(this.#timer);
    const item = this.#read(true);
    if (!item) {
      this.#root.querySelector('[aria-invalid=true]')?.focus();
      return;
    }
    if (this.#inList) this.#add(item);
    else this.#order([item], this.#quote?.total);
  }

  #add(item) {
    if (this.#items.length >= ITEMS_MAX) return;
    this.#items.push(item);
    this.#orderKey = null;
    this.#parts.label.input.value = '';
    this.#parts.status.textContent = this.#say('added', this.#size(item.width, item.height));
    this.#showList();
  }

  // The list, with what a call says that each of it costs now.
  async #showList() {
    const { list } = this.#parts;
    if (this.#items.length === 0) return list.replaceChildren();
    const items = [...this.#items];
    let priced = { items: [] };
    try {
      priced = await this.#call('/prices', { body: { items }, query: { unit: this.#unit } }, this.#life.signal);
    } catch (failure) {
      if (this.#life.signal.aborted) return;
      this.#showFailure(failure, () => this.#showList());
    }
    if (items.some((item, at) => item !== this.#items[at]) || items.length !== this.#items.length) return;
    const rows = items.map((item, at) => {
      const found = priced.items[at] ?? {};
      const name = `${this.#number(item.quantity)} × ${this.#size(item.width, item.height)}${item.label ? `, ${item.label}` : ''}`;
      const remove = () => {
        this.#items.splice(at, 1);
        this.#orderKey = null;
        this.#showList();
        this.#parts.main.focus();
      };
      const cost = found.total === undefined ? this.#say(found.status ? 'notOffered' : 'failed') : this.#money(found.total);
      return make('li', { part: 'item' }, make('span', {}, name), make('span', {}, cost),
        make('button', { type: 'button', onclick: remove, 'aria-label': this.#say('removeOne', name) }, '✕'));
    });
    const sound = priced.total !== undefined;
    list.replaceChildren(
      make('ol', { 'aria-label': this.#say('list') }, rows),
      make('p', { class: 'sum', part: 'sum' }, make('span', {}, this.#say('total')), make('span', {}, sound ? this.#money(priced.total) : '–')),
      make('button', { type: 'button', class: 'main', part: 'button order', disabled: !sound,
        onclick: () => this.#order(items, Number(priced.total)) }, this.#say('orderAll')));
  }

  async #order(items, shown) {
    const { signal } = this.#life;
    const buttons = [...this.#root.querySelectorAll('button.main')];
    buttons.forEach((button) => { button.disabled = true; });
    this.#parts.problem.replaceChildren();
    this.#parts.status.textContent = this.#say('ordering');
    // The same key for the same order, however often it is sent.
    this.#orderKey ??= newKey();
    try {
      const body = items.length === 1 && !items[0].label ? items[0] : { items };
      const order = await this.#call('/draft-orders', { body, key: this.#orderKey, query: { unit: this.#unit } }, signal);
      if (signal.aborted) return;
      this.#orderKey = null;
      this.#items = [];
      this.#done(order, shown);
    } catch (failure) {
      if (signal.aborted) return;
      this.#parts.status.textContent = '';
      this.#showFailure(failure, () => this.#order(items, shown));
      buttons.forEach((button) => { button.disabled = false; });
    }
  }

  #done(order, shown) {
    const { draftOrderId, name, checkoutUrl, total, currency } = order;
    const goes = this.#tell('order', { draftOrderId, name, checkoutUrl, total, currency }, true);
    const address = new URL(checkoutUrl, location.href);
    const go = () => { if (/^https?:$/.test(address.protocol)) location.assign(address); };
    // What was shown, and not what Shopify may have added to it as taxes.
    const ours = (order.items ?? [order]).reduce((sum, item) => sum + item.price * item.quantity, 0);
    // A price that has changed since it was shown is a question, not a surprise at the checkout.
    const isAsShown = shown !== undefined && Math.abs(ours - shown) < 0.00005;
    const price = this.#money(ours);
    const text = shown === undefined ? `${this.#say('total')}: ${price}` : this.#say('changed', price);
    this.#parts.list.replaceChildren();
    if (!goes) {
      this.#parts.status.textContent = '';
      this.#parts.main.disabled = false;
      return;
    }
    this.#parts.status.textContent = isAsShown ? this.#say('ordered', name) : text;
    if (isAsShown) return go();
    this.#parts.main.replaceWith(make('button', { type: 'button', class: 'main', part: 'button', onclick: go }, this.#say('continue')));
  }
}

if (!customElements.get('quote-grid')) customElements.define('quote-grid', QuoteGrid);
