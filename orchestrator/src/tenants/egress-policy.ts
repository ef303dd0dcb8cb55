/**
 * The egress policy of tenants' machines: TCP 443 and DNS only. At Fly, the first rule for a direction denies
 * all other traffic in that direction (fly.io/docs/machines/guides-examples/network-policies). Policies do not
 * apply to traffic from Fly's proxy.
 */
export const egressPolicy = {
  name: 'greenroom-egress',
  selector: { all: true },
  rules: [
    {
      action: 'allow',
      direction: 'egress',
      ports: [
        { protocol: 'tcp', port: 443 },
        { protocol: 'tcp', port: 53 },
        { protocol: 'udp', port: 53 },
      ],
    },
  ],
} as const;
