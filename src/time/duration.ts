/** `75` seconds is "1m 15s"; below ten seconds one decimal. */
export function duration(ms: number): string {
  const seconds = Math.max(ms, 0) / 1_000;
  if (seconds < 10) return `${Math.round(seconds * 10) / 10}s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60 ? `${minutes}m ${whole % 60}s` : `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
}
