#pragma once

namespace mynah {

// A flag in guest memory by which the guest may end an interrupt without telling its local APIC,
// which saves it the way out of its code. The local APIC offers it for one interrupt at a time and
// takes the offer back before it looks at what is in service. Own thread of the vCPU only.
class SilentEoi {
  public:
    virtual ~SilentEoi() = default;
    // The guest may end the interrupt that is in service so. False: it has no flag.
    [[nodiscard]] virtual bool offer() = 0;
    // No longer. True: it did.
    [[nodiscard]] virtual bool withdraw() = 0;
};

}  // namespace mynah
