/** Return a function that downloads a run as an executed notebook, for pages that can't open one. */
export function notebookDownload(baseUrl: string, page = document): (id: string) => void {
  return id => {
    const link = page.createElement('a');
    link.href = `${baseUrl.replace(/\/*$/, '/')}pdflow/api/runs/${encodeURIComponent(id)}/notebook`;
    link.download = '';
    link.click();
  };
}
