// The price sheet. The page is a plain form that works without this: widths `w`, heights `h` and prices `p`, row by row, each in an
// input of a table. This adds what people know from spreadsheets: arrow keys, a selection, copy and paste of blocks, undo, steps that
// are added and removed in place, and marks for what has changed and what looks wrong. Nothing is saved before "Save".
//
//   form[data-sheet][data-decimals="2"]   with table.sheet: thead th > input[name=w], tbody th > input[name=h], td > input[name=p]
//   buttons [data-do]: undo, redo, add-width, add-height, remove-width, remove-height
//   [data-says=changes], [data-says=marks]   where is said what has changed, and what looks wrong
//   td[data-theirs]                          another person's value, where two edits met
//   input[name=cells]                        is given the selection, for a change by percent of it alone

const form = document.querySelector('form[data-sheet]');
if (form) start(form);

function start(form) {
  const table = form.querySelector('table.sheet');
  const decimals = Number(form.dataset.decimals);
  const says = (name) => form.querySelector(`[data-says=${name}]`);
  const words = JSON.parse(form.dataset.words);
  const rows = () => [...table.tBodies[0].rows];
  const widths = () => [...table.tHead.rows[0].cells].slice(1);
  const input = (row, column) => rows()[row]?.cells[column + 1]?.firstElementChild;
  const saved = new WeakMap();
  const past = [];
  const future = [];
  let anchor = null;
  let head = null;
  let isLeaving = false;

  for (const field of fields()) saved.set(field, field.defaultValue);
  const savedShape = shape();
  judge();

  function fields() { return [...table.querySelectorAll('input')]; }
  function shape() { return `${widths().length} ${rows().length}`; }

  // Where an input stands: row -1 is that of the widths, column -1 that of the heights.
  function place(field) {
    const cell = field.closest('th, td');
    const row = cell.parentElement.parentElement === table.tHead ? -1 : rows().indexOf(cell.parentElement);
    return { row, column: cell.cellIndex - 1 };
  }
  function at({ row, column }) {
    if (row < 0) return widths()[column]?.querySelector('input');
    return column < 0 ? rows()[row]?.cells[0].querySelector('input') : input(row, column);
  }

  // Reading -------------------------------------------------------------------------------------------------------------

  // A price in plain decimals, '' for none, or null where it could be two things or nothing. A mark before exactly three digits may
  // stand for thousands: that is never guessed.
  function plain(text) {
    const bare = text.replace(/[\s\u00a0\u202f'’]|[\p{Sc}]|EUR|USD|GBP|CHF/gu, '');
    if (bare === '' || bare === '-' || bare === '–') return '';
    const both = bare.match(/^(\d{1,3}(?:([.,])\d{3})+)(?:([.,])(\d+))?$/);
    if (both && both[3] && both[3] !== both[2]) return checked(both[1].replaceAll(both[2], ''), both[4]);
    if (/^\d+$/.test(bare)) return bare;
    const one = bare.match(/^(\d+)[.,](\d+)$/);
    if (!one || (one[2].length === 3 && decimals !== 3)) return null;
    return checked(one[1], one[2]);
  }
  function checked(whole, part) {
    const rest = part.slice(decimals);
    if (/[1-9]/.test(rest)) return null;
    return decimals === 0 ? whole : `${whole}.${part.slice(0, decimals).padEnd(decimals, '0')}`;
  }

  // Changing, and changing back --------------------------------------------------------------------------------------------

  function snapshot() {
    return { head: widths().map((cell) => cell.querySelector('input').value),
      side: rows().map((row) => row.cells[0].querySelector('input').value),
      body: rows().map((row, at) => widths().map((_, column) => input(at, column).value)) };
  }
  function restore({ head, side, body }) {
    while (widths().length < head.length) addWidth();
    while (widths().length > head.length) removeWidth(widths().length - 1);
    while (rows().length < side.length) addHeight();
    while (rows().length > side.length) removeHeight(rows().length - 1);
    head.forEach((value, column) => { at({ row: -1, column }).value = value; });
    side.forEach((value, row) => { at({ row, column: -1 }).value = value; });
    body.forEach((values, row) => values.forEach((value, column) => { input(row, column).value = value; }));
  }
  function change(how) {
    const before = snapshot();
    how();
    if (JSON.stringify(before) !== JSON.stringify(snapshot())) {
      past.push(before);
      future.length = 0;
    }
    judge();
  }
  function step(from, to) {
    if (from.length === 0) return;
    to.push(snapshot());
    restore(from.pop());
    judge();
    say(words.undone);
  }

  // What is typed is one change from the moment the cell is entered until it is left.
  let typing = null;
  table.addEventListener('focusin', () => { typing = snapshot(); });
  table.addEventListener('input', () => judge());
  table.addEventListener('change', ({ target }) => {
    if (target.name === 'p') target.value = plain(target.value) ?? target.value;
    if (typing && JSON.stringify(typing) !== JSON.stringify(snapshot())) {
      past.push(typing);
      future.length = 0;
    }
    typing = snapshot();
    judge();
  });

  // Steps ------------------------------------------------------------------------------------------------------------------

  function emptied(cell) {
    const copy = cell.cloneNode(true);
    const field = copy.querySelector('input');
    field.value = '';
    field.removeAttribute('value');
    field.removeAttribute('id');
    copy.removeAttribute('data-theirs');
    saved.set(field, null);
    return copy;
  }
  function addWidth() {
    table.tHead.rows[0].append(emptied(widths().at(-1)));
    for (const row of rows()) row.append(emptied(row.lastElementChild));
  }
  function addHeight() {
    const row = document.createElement('tr');
    row.append(...[...rows().at(-1).cells].map(emptied));
    table.tBodies[0].append(row);
  }
  function removeWidth(column) {
    if (widths().length < 2) return;
    widths()[column].remove();
    for (const row of rows()) row.cells[column + 1].remove();
  }
  function removeHeight(row) { if (rows().length > 1) rows()[row].remove(); }

  const actions = {
    undo: () => step(past, future),
    redo: () => step(future, past),
    'add-width': () => { change(addWidth); at({ row: -1, column: widths().length - 1 }).focus(); },
    'add-height': () => { change(addHeight); at({ row: rows().length - 1, column: -1 }).focus(); },
    'remove-width': () => { change(() => removeWidth(Math.max(head?.column ?? widths().length - 1, 0))); focusAgain(); },
    'remove-height': () => { change(() => removeHeight(Math.max(head?.row ?? rows().length - 1, 0))); focusAgain(); },
  };
  function focusAgain() {
    const row = Math.min(head?.row ?? 0, rows().length - 1);
    const column = Math.min(head?.column ?? 0, widths().length - 1);
    at({ row, column })?.focus();
  }
  for (const button of form.querySelectorAll('[data-do]')) {
    // Without this script the same buttons submit the form, and the server does it.
    button.addEventListener('click', (event) => {
      event.preventDefault();
      actions[button.dataset.do]();
    });
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
    const isOne = !area || (area.top === area.bottom && area.left === area.right);
    if (!isOne) {
      for (let row = area.top; row <= area.bottom; row += 1) {
        for (let column = area.left; column <= area.right; column += 1) input(row, column)?.parentElement.classList.add('selected');
      }
    }
    for (const field of document.querySelectorAll('input[name=cells]')) {
      field.value = isOne ? '' : `${area.top},${area.left},${area.bottom},${area.right}`;
    }
    form.dispatchEvent(new CustomEvent('sheet:selection', { bubbles: true, detail: isOne ? null : area }));
  }
  function go(to, extend) {
    const field = at(to);
    if (!field) return;
    if (extend) anchor ??= head; else anchor = null;
    const kept = anchor;
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
    if (field.tagName !== 'INPUT') return;
    const here = place(field);
    const jump = event.ctrlKey || event.metaKey;
    const last = { row: rows().length - 1, column: widths().length - 1 };
    const isWhole = field.selectionStart === 0 && field.selectionEnd === field.value.length;
    const atStart = field.selectionStart === 0 && field.selectionEnd === 0;
    const atEnd = field.selectionStart === field.value.length;
    const rtl = getComputedStyle(table).direction === 'rtl' ? -1 : 1;
    const sideways = (by) => ({ row: here.row, column: jump ? (by > 0 ? last.column : 0) : here.column + by });
    const upDown = (by) => ({ row: jump ? (by > 0 ? last.row : 0) : here.row + by, column: here.column });
    let to = null;
    if (event.key === 'ArrowDown' || (event.key === 'Enter' && !event.shiftKey)) to = upDown(1);
    else if (event.key === 'ArrowUp' || event.key === 'Enter') to = upDown(-1);
    else if (event.key === 'ArrowRight' && (isWhole || atEnd || event.shiftKey || jump)) to = sideways(rtl);
    else if (event.key === 'ArrowLeft' && (isWhole || atStart || event.shiftKey || jump)) to = sideways(-rtl);
    else if (event.key === 'Home' && jump) to = { row: 0, column: 0 };
    else if (event.key === 'End' && jump) to = last;
    else if (event.key === 'Escape') {
      if (typing) restore(typing);
      judge();
      return;
    } else if (jump && event.key.toLowerCase() === 'z') {
      event.preventDefault();
      field.dispatchEvent(new Event('change', { bubbles: true }));
      actions[event.shiftKey ? 'redo' : 'undo']();
      return;
    } else if (jump && event.key.toLowerCase() === 'y') {
      event.preventDefault();
      actions.redo();
      return;
    } else if ((event.key === 'Delete' || event.key === 'Backspace') && anchor) {
      event.preventDefault();
      each(block(), (cell) => { cell.value = ''; });
      return;
    }
    if (!to) return;
    event.preventDefault();
    field.dispatchEvent(new Event('change', { bubbles: true }));
    go({ row: Math.max(to.row, -1), column: Math.max(to.column, -1) }, event.shiftKey && event.key !== 'Enter');
  });

  function each({ top, bottom, left, right }, how) {
    change(() => {
      for (let row = top; row <= bottom; row += 1) {
        for (let column = left; column <= right; column += 1) {
          const cell = input(row, column);
          if (cell) how(cell, row - top, column - left);
        }
      }
    });
  }

  table.addEventListener('copy', (event) => {
    const area = anchor && block();
    if (!area) return;
    event.preventDefault();
    const lines = [];
    for (let row = area.top; row <= area.bottom; row += 1) {
      const values = [];
      for (let column = area.left; column <= area.right; column += 1) values.push(input(row, column).value);
      lines.push(values.join('\t'));
    }
    event.clipboardData.setData('text/plain', lines.join('\n'));
  });

  table.addEventListener('paste', (event) => {
    const text = event.clipboardData.getData('text/plain').replace(/\r\n?/g, '\n').replace(/\n$/, '');
    const block = text.split('\n').map((line) => line.split('\t'));
    if (block.length === 1 && block[0].length === 1) return;
    event.preventDefault();
    const { row, column } = place(event.target);
    const unread = [];
    let outside = 0;
    change(() => block.forEach((values, down) => values.forEach((value, right) => {
      const to = { row: row + down, column: column + right };
      const field = to.row < 0 && to.column < 0 ? null : at(to);
      if (!field) {
        outside += 1;
        return;
      }
      const price = field.name === 'p' ? plain(value) : value.trim().replace(',', '.');
      if (price === null) unread.push(value.trim());
      field.value = price ?? value.trim();
    })));
    const pasted = block.length * Math.max(...block.map((values) => values.length)) - outside;
    say([words.pasted.replace('{0}', pasted), outside ? words.outside.replace('{0}', outside) : '',
      unread.length ? words.unread.replace('{0}', unread.slice(0, 3).join(' · ')) : ''].filter(Boolean).join(' '));
    typing = snapshot();
  });

  // What has changed, and what looks wrong ----------------------------------------------------------------------------------

  function judge() {
    let [changed, holes, falls, wrong] = [0, 0, 0, 0];
    const values = rows().map((_, row) => widths().map((_, column) => plain(input(row, column).value)));
    const lower = (one, other) => one !== undefined && one !== '' && one !== null && other !== '' && other !== null && Number(other) < Number(one);
    values.forEach((line, row) => line.forEach((value, column) => {
      const cell = input(row, column).parentElement;
      const marks = {
        changed: input(row, column).value !== saved.get(input(row, column)),
        hole: value === '',
        wrong: value === null,
        falls: lower(values[row - 1]?.[column], value) || lower(line[column - 1], value),
      };
      for (const [name, is] of Object.entries(marks)) cell.classList.toggle(name, is);
      input(row, column).setAttribute('aria-invalid', marks.wrong);
      changed += marks.changed;
      holes += marks.hole;
      falls += marks.falls;
      wrong += marks.wrong;
    }));
    for (const field of table.querySelectorAll('th input')) changed += field.value !== saved.get(field);
    const isChanged = changed > 0 || shape() !== savedShape;
    form.classList.toggle('is-changed', isChanged);
    says('changes').textContent = isChanged ? words.changes.replace('{0}', changed) : words.noChanges;
    says('marks').textContent = [holes && words.holes.replace('{0}', holes), falls && words.falls.replace('{0}', falls),
      wrong && words.wrong.replace('{0}', wrong)].filter(Boolean).join(' · ');
    for (const button of form.querySelectorAll('[data-needs=changes]')) button.disabled = !isChanged;
    for (const button of document.querySelectorAll('[data-needs=saved]')) button.disabled = isChanged;
    for (const [name, list] of [['undo', past], ['redo', future]]) {
      const button = form.querySelector(`[data-do=${name}]`);
      if (button) button.disabled = list.length === 0;
    }
  }
  function say(text) { says('done').textContent = text; }

  form.addEventListener('submit', () => { isLeaving = true; });
  addEventListener('beforeunload', (event) => {
    if (!isLeaving && form.classList.contains('is-changed')) event.preventDefault();
  });
}
