import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import type { Host } from '../host';
import type { RunFile } from '../types';
import { fileSize } from './file-size';

/** Maximum number of files in a list of the server. */
const MAX_LISTED = 1000;

/** Return the files that a run's steps have saved, as links if the host has URLs. */
export function filesView(host: Host, id: string, files: readonly RunFile[]): unknown {
  if (files.length === 0) {
    return nothing;
  }
  const note = `These are the first ${MAX_LISTED.toLocaleString()} files; there may be more.`;
  return html`<section class="jp-PDFlow-files">
    <h4>Files</h4>
    <ul role="list">
      ${files.map(file => row(file, host.fileUrl?.(id, file.path)))}
    </ul>
    ${files.length < MAX_LISTED ? nothing : html`<p class="jp-PDFlow-hint">${note}</p>`}
  </section>`;
}

function row({ path, size }: RunFile, url: string | undefined): TemplateResult {
  const name =
    url === undefined
      ? html`<span class="jp-PDFlow-file">${path}</span>`
      : html`<a class="jp-PDFlow-file" href=${url} download>${path}</a>`;
  return html`<li>${name} <span class="jp-PDFlow-size">${fileSize(size)}</span></li>`;
}

/**
 * Return the URL of the run's file that a text is the path of, or null if it is not such a path.
 *
 * Steps export absolute paths of the system they ran on, which may be Windows.
 */
export function fileLink(host: Host, id: string, text: string): string | null {
  const isPath = /^(?:[A-Za-z]:)?[\\/]/.test(text) && !text.includes('pdflow/api/');
  const [, file, ...more] = text.split(/[\\/]/).join('/').split(`/${id}/`);
  return isPath && file && more.length === 0 ? (host.fileUrl?.(id, file) ?? null) : null;
}
