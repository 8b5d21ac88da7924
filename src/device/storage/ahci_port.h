#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "device/storage/ahci_registers.h"
#include "device/storage/ata_device.h"
#include "memory/dma_view.h"

namespace mynah {

class AhciPort;

// A command of a slot on its way to the medium and back.
struct AhciTask : MediumJob {
    AhciTask(AhciPort& owner, unsigned number, MediumJobOwner& jobs)
        : MediumJob(jobs), port(owner), slot(number) {}

    AhciPort& port;
    const unsigned slot;
    AtaCommand command;
    SliceList slices;
    ahci::CommandHeader header{};
    uint64_t moved = 0;  // bytes
    bool descriptor_interrupt = false;
    bool busy = false;       // between issue and completion
    bool abandoned = false;  // was reset while it was away: nobody waits for its end
};

// One port of an AHCI controller and the device at it [AHCI 1.3.1 3.3, 5, 6]; the chip, so one
// thread at a time. Commands are taken in the order of their slots from where the last one was.
// What could not be stopped at once (work that is with the back end) keeps PxCMD.CR set, or the
// link down after a COMRESET, until it is over, so that no memory changes behind the guest's back.
//
// Left out: port multipliers, power management states, cold presence detection, the DMA setup FIS.
class AhciPort {
  public:
    AhciPort(const DmaView& memory, MediumJobOwner& jobs, bool staggered_spin_up);
    AhciPort(const AhciPort&) = delete;
    AhciPort& operator=(const AhciPort&) = delete;

    void attach(AtaDevice& device);  // before the machine runs

    uint32_t read(uint32_t offset) const;
    void write(uint32_t offset, uint32_t value);
    // An interrupt that the guest asked for is pending.
    bool interrupt() const { return (interrupt_status() & ie_) != 0; }

    // The next command whose work is to be started; null: none.
    AhciTask* take_ready();
    void finished(AhciTask& task, BlockStatus status);
    // Nothing is with the back end.
    bool drained() const { return away_ == 0; }
    bool uses(const BlockBackend& backend) const;
    // As HBA reset does it; complete once drained, by reset_done().
    void begin_reset();
    void reset_done();

  private:
    bool running() const { return (cmd_ & ahci::cmd::kStart) != 0; }
    bool powered() const;
    uint32_t interrupt_status() const;
    void write_command(uint32_t value);
    void write_control(uint32_t value);
    void abandon_all();
    void stop_list();
    void go_offline();
    void try_link_up();
    void process();
    AhciTask* next_slot();
    void issue(AhciTask& task);
    void control_fis(AhciTask& task, uint8_t control);
    bool move_buffer(AhciTask& task);
    // Collects the memory of the descriptors, as much as the command moves.
    enum class Gathered : uint8_t { kAll, kShort, kBad };
    Gathered gather(AhciTask& task);
    void release(AhciTask& task);
    void complete(AhciTask& task);
    void complete_queued(AhciTask& task);
    void fatal(uint32_t cause);
    void post(uint32_t place, std::span<const uint8_t> fis);
    void post_device_to_host(const AtaOutcome& outcome, bool interrupt);
    void post_pio_setup(const AhciTask& task);
    void post_set_device_bits(uint32_t tags, const AtaOutcome& outcome);
    uint64_t header_address(unsigned slot) const;

    const DmaView& memory_;
    MediumJobOwner& jobs_;
    const bool staggered_;
    AtaDevice* device_ = nullptr;
    std::vector<std::unique_ptr<AhciTask>> tasks_;  // by slot; none without a device

    uint64_t clb_ = 0, fb_ = 0;
    uint32_t is_ = 0, ie_ = 0, cmd_ = 0, sctl_ = 0, serr_ = 0, sact_ = 0, ci_ = 0;
    uint32_t sig_ = ahci::kNoSignature, ssts_ = 0;
    uint8_t status_ = ahci::kNoDeviceStatus, error_ = 0;
    bool link_wanted_ = false;        // comes up as soon as nothing is away
    bool signature_pending_ = false;  // the FIS waits until the guest receives FISes
    bool soft_reset_ = false;         // SRST is set
    bool halted_ = false;             // after an error, until the guest clears PxCMD.ST
    bool stopping_ = false;           // ST was cleared, work is away
    unsigned next_ = 0;               // slot to look at first
    uint32_t issued_ = 0;             // slots that are being carried out
    uint32_t ready_ = 0;              // of these, not with the back end yet
    unsigned away_ = 0;               // with the back end
};

}  // namespace mynah
