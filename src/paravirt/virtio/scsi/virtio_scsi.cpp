#include "paravirt/virtio/scsi/virtio_scsi.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "base/check.h"
#include "paravirt/virtio/config_bytes.h"
#include "spec/virtio/device.h"

namespace mynah {

using namespace virtio::scsi;

VirtioScsi::VirtioScsi(VirtioScsiOptions options) : options_(options) {
    CHECK(options_.queues >= 1 && options_.queues <= kMaxQueues);
}

VirtioScsi::~VirtioScsi() {
    pool_lock_.lock();
    while (out_ != 0) all_back_.wait(pool_lock_);
    pool_lock_.unlock();
}

uint32_t VirtioScsi::device_id() const { return virtio::kDeviceScsi; }
uint64_t VirtioScsi::features() const { return kFeatureHotplug | kFeatureChange; }

uint16_t VirtioScsi::queue_count() const {
    return static_cast<uint16_t>(kFirstRequestQueue + options_.queues);
}

void VirtioScsi::read_config(uint64_t offset, std::span<std::byte> to) const {
    Config config{};
    config.num_queues = options_.queues;
    config.seg_max = kQueueSize - 2;  // beside header and response
    config.max_sectors = 0xffff;
    config.cmd_per_lun = kQueueSize / 2;
    config.event_info_size = sizeof(Event);
    config.sense_size = sense_size_.load(std::memory_order_relaxed);
    config.cdb_size = cdb_size_.load(std::memory_order_relaxed);
    config.max_target = kMaxTarget;
    config.max_lun = kMaxLun;
    read_config_bytes(config, offset, to);
}

void VirtioScsi::write_config(uint64_t offset, std::span<const std::byte> from) {
    uint32_t value = 0;
    if (from.size() != sizeof value) return;
    std::memcpy(&value, from.data(), sizeof value);
    if (offset == offsetof(Config, sense_size) && value <= kMaxSenseSize)
        sense_size_.store(value, std::memory_order_relaxed);
    if (offset == offsetof(Config, cdb_size) && value <= kMaxCdbSize)
        cdb_size_.store(value, std::memory_order_relaxed);
}

void VirtioScsi::negotiated(uint64_t features) {
    negotiated_.store(features, std::memory_order_relaxed);
}

void VirtioScsi::serve(VirtioQueue& queue) {
    switch (queue.index()) {
        case kControlQueue:
            return serve_control(queue);
        case kEventQueue: {
            MutexLock lock(event_mutex_);
            event_queue_ = &queue;
            // It may look for what it was not told [virtio-1.2 5.6.6.3].
            if (events_missed_) put_event({});
            return;
        }
        default:
            return serve_commands(queue);
    }
}

void VirtioScsi::reset() {
    negotiated_.store(0, std::memory_order_relaxed);
    sense_size_.store(kDefaultSenseSize, std::memory_order_relaxed);
    cdb_size_.store(kDefaultCdbSize, std::memory_order_relaxed);
    {
        MutexLock lock(event_mutex_);
        event_queue_ = nullptr;
        events_missed_ = false;
    }
    std::vector<Slot> units;
    {
        MutexLock lock(units_mutex_);
        for (const auto& [address, unit] : units_) units.push_back(unit);
    }
    for (const Slot& unit : units) unit->reset();
}

void VirtioScsi::connect(VirtioDeviceEvents* events) {
    if (events != nullptr) return;
    MutexLock lock(event_mutex_);
    event_queue_ = nullptr;
}

// --- Units.

VirtioScsi::Slot VirtioScsi::find(ScsiAddress address) const {
    MutexLock lock(units_mutex_);
    const auto found = units_.find(address);
    return found == units_.end() ? nullptr : found->second;
}

std::vector<VirtioScsi::Slot> VirtioScsi::units_of(uint8_t target) const {
    MutexLock lock(units_mutex_);
    std::vector<Slot> units;
    for (auto at = units_.lower_bound({target, 0}); at != units_.end(); ++at) {
        if (at->first.target != target) break;
        units.push_back(at->second);
    }
    return units;
}

std::vector<uint64_t> VirtioScsi::luns_of(uint8_t target) const {
    MutexLock lock(units_mutex_);
    std::vector<uint64_t> luns;
    for (auto at = units_.lower_bound({target, 0}); at != units_.end(); ++at) {
        if (at->first.target != target) break;
        luns.push_back(uint64_t{scsi_lun_field(at->first.lun)} << 48);
    }
    return luns;
}

bool VirtioScsi::add_unit(ScsiAddress address, std::unique_ptr<ScsiUnit> unit) {
    const std::vector<Slot> others = units_of(address.target);
    {
        MutexLock lock(units_mutex_);
        if (units_.contains(address)) return false;
        units_[address] = std::make_shared<ScsiUnitSlot>(std::move(unit));
    }
    if (send_event(kFeatureHotplug, kTransportReset, address, kReasonRescan)) return true;
    // Drivers that take no events learn from the target's other units [SPC-4 6.33].
    for (const Slot& other : others)
        other->with_unit([](ScsiUnit& each) { each.attend(scsi::kSenseReportedLunsChanged); });
    return true;
}

bool VirtioScsi::remove_unit(ScsiAddress address, std::chrono::milliseconds grace) {
    const Slot unit = find(address);
    if (unit == nullptr) return false;
    if (send_event(kFeatureHotplug, kTransportReset, address, kReasonRemoved))
        unit->wait_for_farewell(grace);
    {
        MutexLock lock(units_mutex_);
        units_.erase(address);
    }
    unit->close();
    return true;
}

void VirtioScsi::with_unit(ScsiAddress address, const std::function<void(ScsiUnit&)>& act) {
    const Slot unit = find(address);
    CHECK(unit != nullptr);
    unit->with_unit(act);
}

void VirtioScsi::wait_for_work(ScsiAddress address) {
    if (const Slot unit = find(address)) unit->wait_for_work();
}

// --- Events.

void VirtioScsi::parameters_changed(ScsiAddress address, scsi::Sense attention) {
    send_event(kFeatureChange, kParameterChange, address,
               uint32_t{attention.qualifier} << 8 | attention.code);
}

bool VirtioScsi::send_event(uint64_t feature, uint32_t kind, ScsiAddress address, uint32_t reason) {
    if (!has(feature)) return false;
    Event event{};
    event.event = kind;
    event.lun[0] = 1;
    event.lun[1] = address.target;
    // As REPORT LUNS has it, which is how drivers know the unit.
    const uint16_t lun = scsi_lun_field(address.lun);
    event.lun[2] = static_cast<uint8_t>(lun >> 8);
    event.lun[3] = static_cast<uint8_t>(lun);
    event.reason = reason;
    MutexLock lock(event_mutex_);
    return put_event(event);
}

bool VirtioScsi::put_event(const Event& wanted) {
    if (event_queue_ == nullptr) return false;
    Event event = wanted;
    if (events_missed_) event.event |= kEventsMissed;
    VirtioQueue::Batch batch = event_queue_->open_batch();
    DescriptorChain chain;
    events_missed_ = true;
    if (!event_queue_->take(batch, chain)) return false;
    events_missed_ = false;
    const uint64_t size = chain.writable.fill(std::as_bytes(std::span(&event, 1)));
    event_queue_->wrote(chain.writable);
    event_queue_->give_back(chain.head, static_cast<uint32_t>(size));
    return true;
}

}  // namespace mynah
