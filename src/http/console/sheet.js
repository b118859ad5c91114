// The price sheet. The page is a plain form that works without this: widths `w`, heights `h` and prices `p`, row by row, each in an
// input of a table. This adds what people know from spreadsheets: arrow keys, a selection, copy and paste of blocks, undo, steps that
// are added and removed in place, and marks for what has changed and what looks wrong. Nothing is saved before "Save".
//
//   form[data-sheet][data-decimals][data-words][data-rework]  with table.sheet: thead th > input[name=w], tbody th > input[name=h],
//                                                            td > input[name=p]; [data-saved]: what is saved, where it is something else
//   buttons [data-do]: undo, redo, add-width, add-height, remove-width, remove-height; [data-adjust]: a change by percent
//   [data-says=changes|marks|done|adjust-fault]              where is said what has changed, looks wrong, was done, went wrong
//   [data-needs=changes|saved]                               of use only with changes, or without
//   input[name=from-width|to-width|from-height|to-height]    are given the selection, for a change by percent of it alone

const STEPS_MAX = 50;
const LENGTH_DECIMALS = 3;
// Characters of a price that fit a column of the usual width.
const NARROW_MAX = 9;
const DECORATION = /[\s\u00a0\u202f'’$€£¥₹₩₺₽₪₫฿₴₱]|EUR|USD|GBP|CHF/gu;

const form = document.querySelector('form[data-sheet]');
if (form) start(form);

function start(form) {
  const table = form.querySelector('table.sheet');
  const decimals = Number(form.dataset.decimals);
  const words = JSON.parse(form.dataset.words);
  const says = (name) => form.querySelector(`[data-says=${name}]`);
  const rows = () => [...table.tBodies[0].rows];
  const widthFields = () => [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.querySelector('input'));
  const heightFields = () => rows().map((row) => row.cells[0].querySelector('input'));
  const priceFields = () => rows().map((row) => [...row.cells].slice(1).map((cell) => cell.querySelector('input')));
  const isReadOnly = widthFields()[0].readOnly;
  const saved = new WeakMap();
  const past = [];
  const future = [];
  let anchor = null;
  let head = null;
  let isLeaving = false;

  for (const field of table.querySelectorAll('input')) saved.set(field, field.dataset.saved ?? field.defaultValue);
  // Steps that came with the page and are not those that are saved: the server marks their prices.
  const savedShape = form.elements.base.value;
  for (const button of form.querySelectorAll('[data-do=undo], [data-do=redo]')) button.hidden = false;

  // Where an input is: row -1 is that of the widths, column -1 that of the heights.
  function place(field) {
    const cell = field.closest('th, td');
    const row = cell.parentElement.parentElement === table.tHead ? -1 : rows().indexOf(cell.parentElement);
    return { row, column: cell.cellIndex - 1 };
  }
  function at({ row, column }) {
    const line = row < 0 ? table.tHead.rows[0] : table.tBodies[0].rows[row];
    return (row < 0 && column < 0) ? null : line?.cells[column + 1]?.querySelector('input') ?? null;
  }

  // Reading: the same rules as the server's ---------------------------------------------------------------------------------

  // A number in plain decimals, '' for none, or null where it could be two things or nothing. A mark before exactly three digits may
  // mean thousands: that is never guessed.
  function plain(text, kept, threeAreDecimals) {
    const bare = text.replace(DECORATION, '');
    if (bare === '' || bare === '-' || bare === '–' || bare === '—') return '';
    if (/^\d+$/.test(bare)) return bare;
    const one = bare.match(/^(\d+)[.,](\d+)$/);
    if (one) {
      const isAmbiguous = one[2].length === 3 && one[1].length <= 3 && one[1] !== '0' && !threeAreDecimals;
      return isAmbiguous ? null : withDecimals(one[1], one[2], kept);
    }
    const grouped = bare.match(/^(\d{1,3})([.,])(\d{3}(?:\2\d{3})*)(?:([.,])(\d+))?$/);
    if (!grouped || grouped[4] === grouped[2]) return null;
    const whole = grouped[1] + grouped[3].replaceAll(grouped[2], '');
    return grouped[5] === undefined ? whole : withDecimals(whole, grouped[5], kept);
  }
  function withDecimals(whole, part, kept) {
    if (/[1-9]/.test(part.slice(kept))) return null;
    return kept === 0 ? whole : `${whole}.${part.slice(0, kept)}`;
  }
  function price(text) {
    const number = plain(text, decimals, decimals === 3);
    if (number === null || number === '' || decimals === 0) return number;
    const [whole, part = ''] = number.split('.');
    return `${whole}.${part.padEnd(decimals, '0')}`;
  }
  const size = (text) => plain(text, LENGTH_DECIMALS, false);

  // Changing, and changing back --------------------------------------------------------------------------------------------

  function snapshot() {
    return { head: widthFields().map((field) => field.value), side: heightFields().map((field) => field.value),
      body: priceFields().map((line) => line.map((field) => field.value)) };
  }
  function restore({ head: tops, side, body }) {
    reshape(tops.length, side.length);
    widthFields().forEach((field, column) => { field.value = tops[column]; });
    heightFields().forEach((field, row) => { field.value = side[row]; });
    priceFields().forEach((line, row) => line.forEach((field, column) => { field.value = body[row][column]; }));
  }
  function reshape(columns, lines) {
    while (widthFields().length < columns) addWidth();
    while (widthFields().length > columns) removeWidth(widthFields().length - 1);
    while (rows().length < lines) addHeight();
    while (rows().length > lines) removeHeight(rows().length - 1);
  }
  function remember(before) {
    if (!before || JSON.stringify(before) === JSON.stringify(snapshot())) return;
    past.push(before);
    future.length = 0;
  }
  function change(how) {
    const before = snapshot();
    how();
    remember(before);
    typing = null;
    judge();
  }
  function step(from, to, text) {
    if (from.length === 0) return;
    to.push(snapshot());
    restore(from.pop());
    typing = null;
    judge();
    say(text);
  }

  // What is typed is one change from the first letter until the cell is left.
  let typing = null;
  table.addEventListener('beforeinput', () => { typing ??= snapshot(); });
  table.addEventListener('input', () => judge());
  table.addEventListener('change', ({ target }) => settle(target));
  function settle(field) {
    if (field.name === 'p') field.value = price(field.value) ?? field.value;
    remember(typing);
    typing = null;
    judge();
  }

  // Steps ------------------------------------------------------------------------------------------------------------------

  function emptied(cell) {
    const copy = cell.cloneNode(true);
    const field = copy.querySelector('input');
    field.value = '';
    for (const name of ['value', 'title', 'data-saved', 'aria-invalid']) field.removeAttribute(name);
    copy.querySelector('small')?.remove();
    copy.className = '';
    saved.set(field, null);
    return copy;
  }
  function addWidth() {
    const line = table.tHead.rows[0];
    line.append(emptied(line.lastElementChild));
    for (const row of rows()) row.append(emptied(row.lastElementChild));
  }
  function addHeight() {
    const row = document.createElement('tr');
    row.append(...[...rows().at(-1).cells].map(emptied));
    table.tBodies[0].append(row);
  }
  function removeWidth(column) {
    table.tHead.rows[0].cells[column + 1].remove();
    for (const row of rows()) row.cells[column + 1].remove();
  }
  function removeHeight(row) { rows()[row].remove(); }

  const actions = {
    undo: () => step(past, future, words.undone),
    redo: () => step(future, past, words.redone),
    'add-width': () => grow(addWidth, () => ({ row: -1, column: widthFields().length - 1 }), widthFields().length),
    'add-height': () => grow(addHeight, () => ({ row: rows().length - 1, column: -1 }), rows().length),
    'remove-width': () => {
      const last = widthFields().length - 1;
      if (last > 0) change(() => removeWidth(head && head.column >= 0 ? Math.min(head.column, last) : last));
      focusAgain();
    },
    'remove-height': () => {
      const last = rows().length - 1;
      if (last > 0) change(() => removeHeight(head && head.row >= 0 ? Math.min(head.row, last) : last));
      focusAgain();
    },
  };
  function grow(how, to, count) {
    if (count >= STEPS_MAX) return;
    change(how);
    go(to(), false);
  }
  function focusAgain() {
    const last = { row: rows().length - 1, column: widthFields().length - 1 };
    go({ row: Math.min(head?.row ?? 0, last.row), column: Math.min(head?.column ?? 0, last.column) }, false);
  }
  for (const button of form.querySelectorAll('[data-do]')) {
    // Without this script the same buttons submit the form, and the server does it.
    button.addEventListener('click', (event) => {
      event.preventDefault();
      actions[button.dataset.do]();
    });
    // The cell that is worked on stays it while a button is clicked.
    button.addEventListener('mousedown', (event) => event.preventDefault());
  }

  // Selection, keys, clipboard ------------------------------------------------------------------------------------------------

  function block() {
    if (!head) return null;
    const from = anchor ?? head;
    const [top, bottom] = [Math.min(from.row, head.row), Math.max(from.row, head.row)];
    const [left, right] = [Math.min(from.column, head.column), Math.max(from.column, head.column)];
    return { top: Math.max(top, 0), bottom, left: Math.max(left, 0), right };
  }
  function showSelection() {
    for (const cell of table.querySelectorAll('.selected')) cell.classList.remove('selected');
    const area = block();
    const isMany = anchor && area.bottom >= area.top && area.right >= area.left;
    if (isMany) {
      priceFields().slice(area.top, area.bottom + 1).forEach((line) =>
        line.slice(area.left, area.right + 1).forEach((field) => field.parentElement.classList.add('selected')));
    }
    const [tops, side] = [widthFields(), heightFields()];
    const range = { 'from-width': tops[area?.left], 'to-width': tops[area?.right], 'from-height': side[area?.top], 'to-height': side[area?.bottom] };
    for (const [name, step] of Object.entries(range)) {
      const field = form.elements[name];
      if (field && (isMany || field.dataset.selection)) {
        field.value = isMany ? step?.value ?? '' : '';
        if (isMany) field.dataset.selection = 'yes'; else delete field.dataset.selection;
      }
    }
  }
  function go(to, extend) {
    const field = at(to);
    if (!field) return;
    const kept = extend ? anchor ?? head : null;
    field.focus();
    field.select();
    anchor = kept;
    head = to;
    showSelection();
  }
  table.addEventListener('focusin', ({ target }) => {
    if (target.tagName !== 'INPUT') return;
    head = place(target);
    anchor = null;
    showSelection();
  });
  table.addEventListener('mousedown', (event) => {
    const field = event.target.closest('td, th')?.querySelector('input');
    if (!field || !event.shiftKey || !head) return;
    event.preventDefault();
    go(place(field), true);
  });

  table.addEventListener('keydown', (event) => {
    const field = event.target;
    if (field.tagName !== 'INPUT' || event.isComposing || event.altKey) return;
    const here = place(field);
    const jump = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    if (jump && (key === 'z' || key === 'y') && !isReadOnly) {
      event.preventDefault();
      settle(field);
      actions[key === 'y' || event.shiftKey ? 'redo' : 'undo']();
      return;
    }
    if (jump && key === 's' && !isReadOnly) {
      event.preventDefault();
      settle(field);
      form.requestSubmit(form.querySelector('[data-save]'));
      return;
    }
    if (event.key === 'Escape') {
      if (typing) restore(typing);
      typing = null;
      judge();
      return;
    }
    if ((event.key === 'Delete' || event.key === 'Backspace') && anchor && !isReadOnly) {
      event.preventDefault();
      each(block(), (cell) => { cell.value = ''; });
      return;
    }
    const to = target(event, field, here, jump);
    if (!to) return;
    event.preventDefault();
    settle(field);
    go(to, event.shiftKey && event.key !== 'Enter');
  });
  // Where a key leads; null where it belongs to the text of the cell.
  function target(event, field, here, jump) {
    const last = { row: rows().length - 1, column: widthFields().length - 1 };
    const isWhole = field.selectionStart === 0 && field.selectionEnd === field.value.length;
    const isAtStart = isWhole || (field.selectionStart === 0 && field.selectionEnd === 0);
    const isAtEnd = isWhole || field.selectionStart === field.value.length;
    const rtl = getComputedStyle(table).direction === 'rtl' ? -1 : 1;
    const clamp = (value, most) => Math.min(Math.max(value, -1), most);
    const sideways = (by) => ({ row: here.row, column: jump ? (by > 0 ? last.column : 0) : clamp(here.column + by, last.column) });
    const upDown = (by) => ({ row: jump ? (by > 0 ? last.row : 0) : clamp(here.row + by, last.row), column: here.column });
    switch (event.key) {
      case 'ArrowDown': return upDown(1);
      case 'ArrowUp': return upDown(-1);
      case 'Enter': return jump ? null : upDown(event.shiftKey ? -1 : 1);
      case 'ArrowRight': return isAtEnd || event.shiftKey || jump ? sideways(rtl) : null;
      case 'ArrowLeft': return isAtStart || event.shiftKey || jump ? sideways(-rtl) : null;
      case 'Home': return jump ? { row: 0, column: 0 } : null;
      case 'End': return jump ? last : null;
      default: return null;
    }
  }

  function each({ top, bottom, left, right }, how) {
    change(() => priceFields().slice(top, bottom + 1).forEach((line) => line.slice(left, right + 1).forEach((field) => how(field))));
  }

  table.addEventListener('copy', (event) => {
    if (!anchor) return;
    const { top, bottom, left, right } = block();
    const lines = priceFields().slice(top, bottom + 1).map((line) => line.slice(left, right + 1).map((field) => field.value).join('\t'));
    event.preventDefault();
    event.clipboardData.setData('text/plain', lines.join('\n'));
  });

  table.addEventListener('paste', (event) => {
    const text = event.clipboardData.getData('text/plain').replace(/\r\n?/g, '\n').replace(/\n$/, '');
    const pasted = text.split('\n').map((line) => line.split('\t'));
    if (isReadOnly || event.target.tagName !== 'INPUT') return;
    if (pasted.length === 1 && pasted[0].length === 1) {
      if (!anchor) return;
      event.preventDefault();
      each(block(), (field) => { field.value = price(text) ?? text.trim(); });
      return;
    }
    event.preventDefault();
    let { row, column } = place(event.target);
    // A whole table, with its widths along the top and its heights down the side, begins at the corner.
    if (isTable(pasted) && (row < 1 && column < 1)) [row, column] = [-1, -1];
    const unread = [];
    let [count, outside] = [0, 0];
    change(() => {
      const columns = Math.max(...pasted.map((line) => line.length));
      reshape(Math.min(Math.max(widthFields().length, column + columns), STEPS_MAX), Math.min(Math.max(rows().length, row + pasted.length), STEPS_MAX));
      pasted.forEach((line, down) => line.forEach((value, right) => {
        const to = { row: row + down, column: column + right };
        if (to.row < 0 && to.column < 0) return;
        const field = at(to);
        if (!field) {
          outside += 1;
          return;
        }
        const number = field.name === 'p' ? price(value) : size(value);
        if (number === null) unread.push(value.trim());
        field.value = number ?? value.trim();
        count += 1;
      }));
    });
    go({ row: Math.max(row, 0), column: Math.max(column, 0) }, false);
    say([words.pasted.replace('{0}', count), outside ? words.outside.replace('{0}', outside) : '',
      unread.length ? words.unread.replace('{0}', unread.slice(0, 3).join(' · ')) : ''].filter(Boolean).join(' '));
  });
  // Whether a block brings its steps along: its corner is not a number, and the cells next to it are.
  function isTable(block) {
    const isNumber = (text) => Boolean(size(text ?? ''));
    return block.length > 1 && block[0].length > 1 && !isNumber(block[0][0]) && block[0].slice(1).every(isNumber)
      && block.slice(1).every((line) => isNumber(line[0]));
  }

  // A change by percent: the server works it out, and here it is one change that can be undone ---------------------------------

  form.querySelector('[data-adjust]')?.addEventListener('click', async (event) => {
    event.preventDefault();
    const button = event.currentTarget;
    const body = new URLSearchParams(new FormData(form, button));
    button.disabled = true;
    says('adjust-fault').textContent = '';
    try {
      const answer = await fetch(form.dataset.rework, { method: 'POST', body, redirect: 'error', headers: { Accept: 'text/html' } });
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const other = page.querySelector('table.sheet');
      if (!other || !answer.ok) {
        says('adjust-fault').textContent = page.querySelector('.finding.bad p')?.textContent ?? words.failed;
        return;
      }
      const values = (cells) => [...cells].map((cell) => cell.querySelector('input').getAttribute('value') ?? '');
      change(() => restore({ head: values([...other.tHead.rows[0].cells].slice(1)),
        side: [...other.tBodies[0].rows].map((row) => values([row.cells[0]])[0]),
        body: [...other.tBodies[0].rows].map((row) => values([...row.cells].slice(1))) }));
      say(page.querySelector('.finding.good p')?.textContent ?? words.adjusted);
    } catch {
      says('adjust-fault').textContent = words.failed;
    } finally {
      button.disabled = false;
    }
  });

  // What has changed, and what looks wrong ----------------------------------------------------------------------------------

  function judge() {
    let [changed, holes, falls, wrong] = [0, 0, 0, 0];
    const [tops, side, fields] = [widthFields(), heightFields(), priceFields()];
    const values = fields.map((line) => line.map((field) => price(field.value)));
    const isLower = (one, other) => Boolean(one) && Boolean(other) && Number(other) < Number(one);
    fields.forEach((line, row) => line.forEach((field, column) => {
      const value = values[row][column];
      const before = saved.get(field);
      const marks = {
        changed: before === null ? field.value !== '' : field.value !== before && value !== price(before),
        hole: value === '' && (tops[column].value !== '' || side[row].value !== ''),
        wrong: value === null,
        falls: isLower(values[row - 1]?.[column], value) || isLower(values[row][column - 1], value),
      };
      for (const [name, is] of Object.entries(marks)) field.parentElement.classList.toggle(name, is);
      if (marks.wrong) field.setAttribute('aria-invalid', 'true'); else field.removeAttribute('aria-invalid');
      field.setAttribute('aria-label', tops[column].value && side[row].value ? `${tops[column].value} × ${side[row].value}`
        : `${words.price} ${row + 1}, ${column + 1}`);
      changed += marks.changed;
      holes += marks.hole;
      falls += marks.falls;
      wrong += marks.wrong;
    }));
    for (const [name, list] of [[words.width, tops], [words.height, side]]) {
      list.forEach((field, index) => {
        const isWrong = field.value !== '' && !size(field.value);
        field.parentElement.classList.toggle('wrong', isWrong);
        if (isWrong) field.setAttribute('aria-invalid', 'true'); else field.removeAttribute('aria-invalid');
        field.setAttribute('aria-label', `${name} ${index + 1}`);
        wrong += isWrong;
      });
    }
    table.classList.toggle('wide', fields.some((line) => line.some((field) => field.value.length > NARROW_MAX)));
    const steps = stepsChanged(tops, side);
    const isChanged = changed + steps > 0;
    form.classList.toggle('is-changed', isChanged);
    if (says('changes')) {
      const count = changed + steps;
      says('changes').textContent = count === 0 ? words.noChanges : count === 1 ? words.oneChange : words.changes.replace('{0}', count);
    }
    says('marks').textContent = wrong ? words.wrong.replace('{0}', wrong) : '';
    for (const [name, count] of [['changed', changed], ['hole', holes], ['falls', falls]]) {
      const counter = document.querySelector(`[data-counts=${name}]`);
      if (counter) counter.textContent = count ? `(${count})` : '';
    }
    for (const part of document.querySelectorAll('[data-needs=changes]')) part.classList.toggle('unavailable', !isChanged);
    for (const button of document.querySelectorAll('[data-needs=saved]')) button.disabled = isChanged;
    for (const [name, list] of [['undo', past], ['redo', future]]) {
      const button = form.querySelector(`[data-do=${name}]`);
      if (button) button.disabled = list.length === 0 && !(name === 'undo' && typing);
    }
  }
  // How many steps are not those that are saved.
  function stepsChanged(tops, side) {
    const lines = savedShape.split('|').map((line) => line.split(' '));
    const compare = (fields, before) => {
      const now = fields.map((field) => size(field.value) || field.value).filter(Boolean);
      const was = before.filter(Boolean);
      return now.filter((value) => !was.includes(value)).length + was.filter((value) => !now.includes(value)).length;
    };
    return compare(tops, lines[0]) + compare(side, lines.slice(1).map((line) => line[0]));
  }
  // Below the tools, and to screen readers.
  function say(text) { says('done').textContent = text; }

  form.addEventListener('submit', () => { isLeaving = true; });
  addEventListener('pageshow', () => { isLeaving = false; });
  addEventListener('beforeunload', (event) => {
    if (!isLeaving && form.classList.contains('is-changed')) event.preventDefault();
  });
  for (const link of form.querySelectorAll('a[data-needs=changes]')) {
    // Discarding needs no second confirmation.
    link.addEventListener('click', () => { isLeaving = true; });
  }
  judge();
}
