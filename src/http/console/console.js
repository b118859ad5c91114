// What every page of the console gets where scripts run: times in the reader's own zone, figures that stay fresh while the page can be
// seen, and a question before what cannot be undone. Pages work without it.

const EVERY = 5000;

function showTimes(root) {
  for (const time of root.querySelectorAll('time[datetime]')) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.title = `${time.dateTime.replace('T', ' ').replace(/(\.\d+)?Z$/, '')} UTC`;
    const style = time.dataset.style === 'date' ? { dateStyle: 'medium' } : { dateStyle: 'medium', timeStyle: 'short' };
    time.textContent = new Intl.DateTimeFormat(undefined, style).format(at);
  }
}

// Asks for the page again and puts its figures in the place of those shown. A person who is typing or has opened something is not disturbed.
async function refresh() {
  if (document.hidden) return;
  const shown = [...document.querySelectorAll('[data-live]')];
  if (shown.length === 0) return;
  const answer = await fetch(location.href, { headers: { Accept: 'text/html', 'X-Refresh': '1' }, redirect: 'error' });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
  for (const part of shown) {
    const other = fresh.querySelector(`[data-live="${CSS.escape(part.dataset.live)}"]`);
    if (!other || part.contains(document.activeElement) || part.querySelector('details[open]')) continue;
    showTimes(other);
    if (part.innerHTML !== other.innerHTML) part.replaceWith(document.adoptNode(other));
  }
}

showTimes(document);
if (document.querySelector('[data-live]')) {
  // A server that is away for a moment is asked again the next time.
  const loop = () => refresh().catch(() => {}).finally(() => setTimeout(loop, EVERY));
  setTimeout(loop, EVERY);
}
for (const button of document.querySelectorAll('[data-print]')) {
  button.hidden = false;
  button.addEventListener('click', () => print());
}
