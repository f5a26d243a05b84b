/** The notebook widget, for anywidget. */
export default {
  render(): void {
    // Nothing is shown yet.
  }
};
