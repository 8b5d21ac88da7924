#include "machine/boards/pc_board.h"
#include "machine/boards/pc_layout.h"

// What is plugged into a PC board, one function for each family of devices.
namespace mynah {

Result<void> PcBoard::add_devices() {
    TRY(add_display());
    TRY(add_usb());
    TRY(add_storage());
    return add_network();
}

Result<void> PcBoard::add_display() { return {}; }

Result<void> PcBoard::add_usb() { return {}; }

Result<void> PcBoard::add_storage() { return {}; }

Result<void> PcBoard::add_network() { return {}; }

}  // namespace mynah
