#include "paravirt/virtio/iommu/virtio_iommu.h"

#include <algorithm>
#include <cstring>

#include "paravirt/virtio/config_bytes.h"
#include "spec/virtio/device.h"

namespace mynah {

using namespace virtio::iommu;

namespace {

template <typename Request>
bool take(SliceList& from, Request& request) {
    return from.take_front(std::as_writable_bytes(std::span(&request, 1)));
}

bool all_zero(std::span<const uint8_t> bytes) {
    return std::ranges::all_of(bytes, [](uint8_t byte) { return byte == 0; });
}

}  // namespace

VirtioIommu::VirtioIommu(IommuDomains& domains, Executor& executor)
    : domains_(domains), executor_(executor) {
    domains_.on_fault([this](const Fault& fault) { report(fault); });
}

VirtioIommu::~VirtioIommu() { domains_.on_fault(nullptr); }

uint32_t VirtioIommu::device_id() const { return virtio::kDeviceIommu; }
uint64_t VirtioIommu::features() const {
    return kFeatureInputRange | kFeatureDomainRange | kFeatureMapUnmap | kFeatureProbe |
           kFeatureBypassConfig;
}

void VirtioIommu::read_config(uint64_t offset, std::span<std::byte> to) const {
    Config config{};
    config.page_size_mask = ~(IommuDomains::kGranule - 1);
    config.input_end = ~uint64_t{0};
    config.domain_end = ~uint32_t{0};
    config.probe_size = kProbeSize;
    config.bypass = domains_.bypass() ? 1 : 0;
    read_config_bytes(config, offset, to);
}

void VirtioIommu::write_config(uint64_t offset, std::span<const std::byte> from) {
    if (offset != offsetof(Config, bypass) || from.size() != 1) return;
    const auto value = static_cast<uint8_t>(from[0]);
    if (value <= 1) domains_.set_bypass(value == 1);
}

// Who cannot set it never wants it [virtio-1.2 5.13.6.1].
void VirtioIommu::negotiated(uint64_t features) {
    if ((features & kFeatureBypassConfig) == 0) domains_.set_bypass(false);
}

void VirtioIommu::reset() {
    {
        MutexLock lock(faults_->mutex);
        faults_->queue = nullptr;
        faults_->waiting.clear();
    }
    domains_.clear();
}

void VirtioIommu::serve(VirtioQueue& queue) {
    if (queue.index() == kEventQueue) {
        {
            MutexLock lock(faults_->mutex);
            faults_->queue = &queue;
        }
        deliver(*faults_);
        return;
    }
    VirtioQueue::Batch batch = queue.open_batch();
    DescriptorChain chain;
    while (queue.take(batch, chain)) {
        const uint32_t written = handle(chain);
        queue.wrote(chain.writable);
        queue.give_back(chain.head, written);
    }
}

// --- Faults.

void VirtioIommu::report(const Fault& fault) {
    {
        MutexLock lock(faults_->mutex);
        if (faults_->queue == nullptr || faults_->waiting.size() == kFaultsMost) return;
        faults_->waiting.push_back(fault);
        if (std::exchange(faults_->posted, true)) return;
    }
    executor_.post([faults = faults_] { deliver(*faults); });
}

void VirtioIommu::deliver(Faults& faults) {
    MutexLock lock(faults.mutex);
    faults.posted = false;
    if (faults.queue == nullptr) return;
    VirtioQueue::Batch batch = faults.queue->open_batch();
    DescriptorChain chain;
    while (!faults.waiting.empty() && faults.queue->take(batch, chain)) {
        const Fault fault = faults.waiting.front();
        const bool fits = chain.writable.size() >= sizeof fault;
        if (fits) {
            chain.writable.fill(std::as_bytes(std::span(&fault, 1)));
            faults.queue->wrote(chain.writable);
            faults.waiting.pop_front();
        }
        faults.queue->give_back(chain.head, fits ? sizeof fault : 0);
    }
}

// --- Requests.

uint32_t VirtioIommu::handle(DescriptorChain& chain) {
    Head head{};
    std::vector<std::byte> answer;
    Tail tail{};
    tail.status = take(chain.readable, head) ? execute(head.type, chain.readable, answer)
                                             : static_cast<uint8_t>(kInvalid);
    const auto bytes = std::as_bytes(std::span(&tail, 1));
    answer.insert(answer.end(), bytes.begin(), bytes.end());
    return static_cast<uint32_t>(chain.writable.fill(answer));
}

uint8_t VirtioIommu::execute(uint8_t type, SliceList& request, std::vector<std::byte>& answer) {
    switch (type) {
        case kAttach:
            return attach(request);
        case kDetach:
            return detach(request);
        case kMap:
            return map(request);
        case kUnmap:
            return unmap(request);
        case kProbe:
            return probe(request, answer);
        default:
            return kUnsupported;
    }
}

uint8_t VirtioIommu::attach(SliceList& request) {
    Attach fields{};
    if (!take(request, fields) || !all_zero(fields.reserved) ||
        (fields.flags & ~kAttachBypass) != 0) {
        return kInvalid;
    }
    return domains_.attach(fields.domain, fields.endpoint, (fields.flags & kAttachBypass) != 0);
}

uint8_t VirtioIommu::detach(SliceList& request) {
    Detach fields{};
    if (!take(request, fields) || !all_zero(fields.reserved)) return kInvalid;
    return domains_.detach(fields.domain, fields.endpoint);
}

uint8_t VirtioIommu::map(SliceList& request) {
    Map fields{};
    if (!take(request, fields)) return kInvalid;
    return domains_.map(fields.domain, fields.virtual_start, fields.virtual_end,
                        fields.physical_start, fields.flags);
}

uint8_t VirtioIommu::unmap(SliceList& request) {
    Unmap fields{};
    if (!take(request, fields) || !all_zero(fields.reserved)) return kInvalid;
    return domains_.unmap(fields.domain, fields.virtual_start, fields.virtual_end);
}

// Properties fill a part of the probe_size bytes; the rest is zero, which ends the list
// [virtio-1.2 5.13.6.7].
uint8_t VirtioIommu::probe(SliceList& request, std::vector<std::byte>& answer) {
    Probe fields{};
    answer.resize(kProbeSize);
    if (!take(request, fields) || !all_zero(fields.reserved)) return kInvalid;
    if (!domains_.has_endpoint(fields.endpoint)) return kNoEntry;
    constexpr uint16_t kPropertyHead = 4;
    const ReservedMemory msi{kPropertyReserved,
                             sizeof(ReservedMemory) - kPropertyHead,
                             kReservedMsi,
                             {},
                             IommuDomains::kMsiStart,
                             IommuDomains::kMsiEnd};
    std::memcpy(answer.data(), &msi, sizeof msi);
    return kOk;
}

}  // namespace mynah
