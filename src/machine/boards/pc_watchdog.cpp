#include "base/log.h"
#include "device/watchdog/i6300esb.h"
#include "machine/boards/pc_board.h"
#include "machine/boards/pc_layout.h"

// The watchdog card, and what happens when it is not fed.
namespace mynah {

Result<void> PcBoard::add_watchdog() {
    if (!parts_.config.devices.watchdog) return {};
    if (next_card_ > pc::kLastCard)
        return Error("--watchdog: all slots for cards are taken; expected fewer devices");
    const auto expired = [this, action = *parts_.config.devices.watchdog] {
        log(LogLevel::kWarning, "the watchdog was not fed");
        switch (action) {
            case WatchdogAction::kReset:
                return at_.power.reset();
            case WatchdogAction::kPowerOff:
                return at_.power.power_off();
            case WatchdogAction::kShutdown:
                return press_power_button();
            case WatchdogAction::kNone:
                return;
        }
    };
    const PciSlot slot = TRY(take_card_slot());
    auto& watchdog =
        own<I6300Esb>(std::make_unique<I6300Esb>(attachment(slot, 0), at_.clock, expired),
                      [](I6300Esb& each) { each.reset(); });
    root_bus_.add(slot, watchdog.function());
    return {};
}

}  // namespace mynah
