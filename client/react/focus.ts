import { type RefObject, useEffect } from 'react';

/** Whether an element can have the focus now. */
const isFocusable = (element: Element): boolean => element.isConnected && element.getClientRects().length > 0;

/**
 * Moves the focus to `successor` when the control that has it disappears: it would fall to the document's body, and a
 * keyboard or a screen reader would begin at the top of the page again.
 */
export function useKeptFocus(within: RefObject<HTMLElement | null>, successor: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    const { current } = within;
    if (!current) return;
    let last: Element | null = null;
    const onFocus = ({ target }: FocusEvent) => {
      last = target as Element;
    };
    const observer = new MutationObserver(() => {
      if (last === null || document.activeElement !== document.body || isFocusable(last)) return;
      last = null;
      successor.current?.focus();
    });
    current.addEventListener('focusin', onFocus);
    observer.observe(current, { childList: true, subtree: true, attributeFilter: ['hidden'] });
    return () => {
      observer.disconnect();
      current.removeEventListener('focusin', onFocus);
    };
  }, [within, successor]);
}
