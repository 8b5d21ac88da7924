#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "base/executor.h"
#include "base/mutex.h"
#include "paravirt/virtio/iommu/iommu_domains.h"
#include "paravirt/virtio/virtio_device.h"
#include "spec/virtio/iommu.h"

namespace mynah {

// The IOMMU device [virtio-1.2 5.13]: a driver's requests change the domains, and faults of devices
// are told it. Page sizes from 4 KiB on; endpoints have one reserved region, that of interrupts.
//
// Left out: MMIO mappings.
class VirtioIommu final : public VirtioDevice {
  public:
    static constexpr uint16_t kQueueSize = 256;
    static constexpr uint32_t kProbeSize = 512;  // bytes
    // Faults that no buffer is there for; the rest is lost [virtio-1.2 5.13.6.9.2].
    static constexpr size_t kFaultsMost = 64;

    // Faults are delivered by `executor`. Both outlive the device and what it posted.
    VirtioIommu(IommuDomains& domains, Executor& executor);
    ~VirtioIommu() override;

    uint32_t device_id() const override;
    uint64_t features() const override;
    uint16_t queue_count() const override { return 2; }
    uint16_t queue_size_max(uint16_t) const override { return kQueueSize; }
    void read_config(uint64_t offset, std::span<std::byte> to) const override;
    void write_config(uint64_t offset, std::span<const std::byte> from) override;
    void negotiated(uint64_t features) override;
    void serve(VirtioQueue& queue) override;
    // The driver's; bypass stays as it is [virtio-1.2 5.13.4.2].
    void reset() override;
    // The machine's: as after power-on.
    void power_on() { domains_.set_bypass(true); }

  private:
    // Faults on their way to the driver; shared with what was posted.
    struct Faults {
        Mutex mutex;
        VirtioQueue* queue GUARDED_BY(mutex) = nullptr;  // of the running driver
        std::deque<virtio::iommu::Fault> waiting GUARDED_BY(mutex);
        bool posted GUARDED_BY(mutex) = false;
    };

    static void deliver(Faults& faults);
    void report(const virtio::iommu::Fault& fault);
    uint32_t handle(DescriptorChain& chain);
    uint8_t execute(uint8_t type, SliceList& request, std::vector<std::byte>& answer);
    uint8_t attach(SliceList& request);
    uint8_t detach(SliceList& request);
    uint8_t map(SliceList& request);
    uint8_t unmap(SliceList& request);
    uint8_t probe(SliceList& request, std::vector<std::byte>& answer);

    IommuDomains& domains_;
    Executor& executor_;
    const std::shared_ptr<Faults> faults_ = std::make_shared<Faults>();
};

}  // namespace mynah
