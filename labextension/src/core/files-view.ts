import { el, setVisible } from './dom';
import { fileSize } from './file-size';
import type { Host } from './host';
import type { RunFile } from './types';
import { failureNode, ValueView } from './view-parts';

/** Maximum number of files in a list of the server. */
const MAX_LISTED = 1000;

/** The files that a run's steps have saved, as links if the host has URLs. */
export class FilesView {
  readonly node = el('section', { class: 'files', hidden: true });
  private readonly list: ValueView<RunFile[]>;
  private readonly notice = el('div', {});

  /**
   * @param id - the run's id
   * @param host - returns the URLs of files
   */
  constructor(id: string, host: Host) {
    this.list = new ValueView((files, node) => {
      node.append(el('ul', {}, ...files.map(file => row(file, host.fileUrl?.(id, file.path)))));
      if (files.length >= MAX_LISTED) {
        const message = `These are the first ${MAX_LISTED.toLocaleString()} files; there may be more.`;
        node.append(el('p', { class: 'note' }, message));
      }
    });
    this.node.append(el('h4', {}, 'Files'), this.notice, this.list.node);
  }

  /** Show the files. */
  update(files: RunFile[]): void {
    setVisible(this.node, files.length > 0);
    this.notice.replaceChildren();
    this.list.update(files.length > 0 ? files : null);
  }

  /** Show that the files can't be listed. */
  showFailure(message: string, retry: () => void): void {
    setVisible(this.node, true);
    this.notice.replaceChildren(failureNode(`The files can't be listed. ${message}`, retry));
  }
}

function row(file: RunFile, url: string | undefined): HTMLElement {
  const name =
    url === undefined
      ? el('span', { class: 'file' }, file.path)
      : el('a', { class: 'file', href: url, download: '' }, file.path);
  return el('li', {}, name, ' ', el('span', { class: 'size' }, fileSize(file.size)));
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
