-- The queue's own order (``api/queries._OPEN_ORDER``, expression by expression), so that a page of it is read and not sorted.
CREATE INDEX incident_queue ON incident (
  CASE WHEN state = 'acknowledged' THEN 2 ELSE is_quarantined OR quiet <> '' END,
  CASE WHEN state = 'acknowledged' THEN 0 ELSE precedence END,
  -first_alert_at_ms,
  -id
) WHERE state <> 'closed' AND merged_into IS NULL;
